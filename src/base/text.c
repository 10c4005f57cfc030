/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text for people. Everything is bounded by the reader's buffer and always terminated; what came
 * from a server or from libpq passes wi_copy_clean, which also takes a password out.
 */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#include "base/line.h"

void wi_text_init(struct wi_text *t, char *buffer, size_t room)
{
	*t = (struct wi_text){.at = buffer, .room = room};
	if (room)
		buffer[0] = '\0';
}

static void add_list(struct wi_text *t, const char *format, va_list args) WEIR_PRINTF(2, 0);

static void add_list(struct wi_text *t, const char *format, va_list args)
{
	size_t left = t->room - t->len;
	int n;

	if (left <= 1)
		return;
	n = vsnprintf(t->at + t->len, left, format, args);
	if (n > 0)
		t->len += (size_t)n < left ? (size_t)n : left - 1;
}

void wi_text_add(struct wi_text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_list(t, format, args);
	va_end(args);
}

void wi_copy(char *to, size_t room, const char *from)
{
	size_t n;

	if (!room)
		return;
	n = strnlen(from, room - 1);
	memcpy(to, from, n);
	to[n] = '\0';
}

int wi_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The byte that "%XX" at `at` stands for, or -1. */
static int encoded_byte(const char *at)
{
	if (at[0] != '%' || wi_hex_digit(at[1]) < 0 || wi_hex_digit(at[2]) < 0)
		return -1;
	return wi_hex_digit(at[1]) * 16 + wi_hex_digit(at[2]);
}

/*
 * The length of `secret` at the start of `at`, where any of its bytes may be written as %XX; 0: it
 * is not there.
 */
static size_t encoded_length(const char *at, const char *secret)
{
	const char *p = at;

	for (; *secret; secret++) {
		if (encoded_byte(p) == (unsigned char)*secret)
			p += 3;
		else if (*p == *secret)
			p++;
		else
			return 0;
	}
	return (size_t)(p - at);
}

/* Also tried as it is: a secret that holds "%25" itself must not be read as an encoded "%". */
static size_t secret_length(const char *at, const char *secret)
{
	size_t encoded, plain;

	if (!secret || !*secret)
		return 0;
	encoded = encoded_length(at, secret);
	plain = strlen(secret);
	if (encoded < plain && strncmp(at, secret, plain) == 0)
		return plain;
	return encoded;
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/*
 * The same for the controls of 0x80 to 0x9f, in UTF-8 or as bytes that begin no character: some
 * terminals obey them. How many bytes it is; *follow counts those that belong to the character
 * before.
 */
static size_t high_control(const char *at, int *follow)
{
	unsigned char c = (unsigned char)at[0], next = c ? (unsigned char)at[1] : 0;

	if (c == 0xc2 && next >= 0x80 && next < 0xa0)
		return 2;
	if (c >= 0xc0)
		*follow = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
	else if (c < 0x80)
		*follow = 0;
	else if (*follow > 0)
		(*follow)--;
	else
		return c < 0xa0;
	return 0;
}

/*
 * Where `text` of length n ends without white space, and without a UTF-8 character that the bound
 * cut in two.
 */
static size_t clean_end(const char *text, size_t n, bool was_cut)
{
	size_t start = n, want;

	while (was_cut && start > 0 && n - start < 3 &&
	       ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (was_cut && start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0xc0) {
		unsigned char lead = (unsigned char)text[start - 1];

		want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
		if (n - (start - 1) < want)
			n = start - 1;
	}
	while (n > 0 && text[n - 1] == ' ')
		n--;
	return n;
}

void wi_copy_clean(char *to, size_t room, const char *from, const char *secret)
{
	size_t n = 0, high;
	int follow = 0;

	if (!room)
		return;
	while (*from && n < room - 1) {
		size_t hidden = secret_length(from, secret);

		if (hidden) {
			for (int i = 0; i < 3 && n < room - 1; i++)
				to[n++] = '*';
			from += hidden;
			follow = 0;
			continue;
		}
		high = high_control(from, &follow);
		if (high) {
			to[n++] = ' ';
			from += high;
			continue;
		}
		to[n++] = is_control(*from) ? ' ' : *from;
		from++;
	}
	to[clean_end(to, n, *from != '\0')] = '\0';
}

WI_COLD weir_status wi_fail(weir_error *error, weir_status status, const char *format, ...)
{
	char words[WEIR_ERROR_TEXT]; /* apart from error->text, which may be among the arguments */
	struct wi_text t;
	va_list args;

	if (!error)
		return status;
	wi_text_init(&t, words, sizeof(words));
	va_start(args, format);
	add_list(&t, format, args);
	va_end(args);
	*error = (weir_error){.status = status};
	memcpy(error->text, words, t.len + 1);
	return status;
}

weir_status wi_fail_with(weir_error *to, const weir_error *from)
{
	if (to && to != from)
		*to = *from;
	return from->status;
}

#define NAME_MAX_NEAR 64 /* longer names are near to nothing */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/*
 * Insertions, deletions, substitutions and swaps of neighbours that make b of a (optimal string
 * alignment).
 */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned rows[3][NAME_MAX_NEAR + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];
	size_t na = strlen(a), nb = strlen(b);

	for (size_t j = 0; j <= nb; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *oldest = before;

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			bool same = wi_lower(a[i - 1]) == wi_lower(b[j - 1]);

			now[j] = least(last[j - 1] + !same, least(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
		before = last;
		last = now;
		now = oldest;
	}
	return last[nb];
}

const char *wi_nearest(const char *name, const char *const names[], size_t count)
{
	const char *nearest = NULL;
	size_t length = strlen(name);
	/* one more than what is still near */
	unsigned best = length <= 3 ? 2 : length <= 7 ? 3 : 4;

	if (!length || length > NAME_MAX_NEAR)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		unsigned distance;

		if (strlen(names[i]) > NAME_MAX_NEAR)
			continue;
		distance = edit_distance(name, names[i]);
		if (distance < best) {
			best = distance;
			nearest = names[i];
		}
	}
	return nearest;
}
