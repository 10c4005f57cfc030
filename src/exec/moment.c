/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dates and timestamps. In binary form they count from 2000-01-01, in microseconds or days; in text
 * form they are read as DateStyle ISO writes them: 2026-05-01 12:34:56.789012+02:30, with BC at the
 * end before the year 1.
 */
#include "exec/value.h"

#include <string.h>

#define DAY_US (INT64_C(86400) * 1000000)
#define NOT_ISO "is not a date or time as DateStyle ISO writes it"
#define BEYOND "is a moment beyond what 64 bits of microseconds hold"

/* 2000-01-01 in days since 1970-01-01. */
#define EPOCH_DAYS 10957

static int64_t read_be(const char *bytes, size_t n)
{
	uint64_t word = (unsigned char)bytes[0] & 0x80 ? UINT64_MAX : 0;

	for (size_t i = 0; i < n; i++)
		word = word << 8 | (unsigned char)bytes[i];
	return (int64_t)word;
}

/* *unix_us is set only where it fits. */
static const char *of_days(int64_t days, int64_t and_us, int64_t *unix_us)
{
	int64_t us;

	if (__builtin_mul_overflow(days, DAY_US, &us) || __builtin_add_overflow(us, and_us, &us))
		return BEYOND;
	*unix_us = us;
	return NULL;
}

static const char *binary_time(const struct wi_value *v, int64_t *unix_us)
{
	bool is_date = v->type == WI_OID_DATE;
	int64_t n;

	if (!is_date && v->type != WI_OID_TIMESTAMP && v->type != WI_OID_TIMESTAMPTZ)
		return "is of a type that is no date or time, in binary form";
	if (v->length != (is_date ? 4 : 8))
		return "has a length that its type does not have";
	n = read_be(v->bytes, v->length);
	if (n == (is_date ? INT32_MAX : INT64_MAX) || n == (is_date ? INT32_MIN : INT64_MIN)) {
		*unix_us = n > 0 ? INT64_MAX : INT64_MIN;
		return NULL;
	}
	if (is_date)
		return of_days(n + EPOCH_DAYS, 0, unix_us);
	return of_days(EPOCH_DAYS, n, unix_us);
}

/* Digits, at least `least` of them; -1: there are not. Advances *at. */
static int64_t take_digits(const char **at, int least, int most)
{
	int64_t n = 0;
	int count = 0;

	for (; count < most && **at >= '0' && **at <= '9'; count++)
		n = n * 10 + (*(*at)++ - '0');
	return count < least ? -1 : n;
}

static bool take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

/* Days from 1970-01-01 in the Gregorian calendar, also before it began; years from March. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct moment {
	int64_t year, month, day;
	int64_t seconds, us; /* since midnight */
	int64_t east;        /* seconds of the zone's offset */
};

static bool take_date(const char **at, struct moment *m)
{
	m->year = take_digits(at, 4, 7);
	if (m->year < 0 || !take_char(at, '-') || (m->month = take_digits(at, 2, 2)) < 1 ||
	    m->month > 12 || !take_char(at, '-'))
		return false;
	m->day = take_digits(at, 2, 2);
	return m->day >= 1 && m->day <= 31;
}

static bool take_fraction(const char **at, int64_t *us)
{
	const char *from = *at;

	*us = take_digits(at, 1, 6);
	for (const char *end = *at; end - from < 6; from--)
		*us *= 10;
	return *us >= 0;
}

/* hh[:mm[:ss]], in seconds; -1: it is not. */
static int64_t take_clock(const char **at, bool whole)
{
	int64_t h = take_digits(at, 2, 2), m = 0, s = 0;

	if (h < 0 || ((take_char(at, ':') || whole) && (m = take_digits(at, 2, 2)) < 0))
		return -1;
	if ((take_char(at, ':') || whole) && (s = take_digits(at, 2, 2)) < 0)
		return -1;
	return h * 3600 + m * 60 + s;
}

static bool take_rest(const char **at, struct moment *m)
{
	if (take_char(at, ' ') && **at != 'B') {
		m->seconds = take_clock(at, true);
		if (m->seconds < 0 || (take_char(at, '.') && !take_fraction(at, &m->us)))
			return false;
		if (**at == '+' || **at == '-') {
			bool west = *(*at)++ == '-';

			m->east = take_clock(at, false);
			if (m->east < 0)
				return false;
			m->east = west ? -m->east : m->east;
		}
		(void)take_char(at, ' ');
	}
	if (strcmp(*at, "BC") == 0) {
		m->year = 1 - m->year;
		*at += 2;
	}
	return **at == '\0';
}

static const char *text_time(const char *at, int64_t *unix_us)
{
	struct moment m = {0};

	if (strcmp(at, "infinity") == 0 || strcmp(at, "-infinity") == 0) {
		*unix_us = at[0] == '-' ? INT64_MIN : INT64_MAX;
		return NULL;
	}
	if (!take_date(&at, &m) || !take_rest(&at, &m))
		return NOT_ISO;
	return of_days(days_of(m.year, m.month, m.day), (m.seconds - m.east) * 1000000 + m.us,
	               unix_us);
}

const char *wi_value_time(const struct wi_value *v, int64_t *unix_us)
{
	if (v->binary)
		return binary_time(v, unix_us);
	return strlen(v->bytes) == v->length ? text_time(v->bytes, unix_us) : NOT_ISO;
}
