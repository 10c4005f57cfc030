/* SPDX-License-Identifier: BSD-2-Clause */
/* Text for people: errors, bounded building, redaction. */
#ifndef WI_BASE_TEXT_H
#define WI_BASE_TEXT_H

#include <stdarg.h>
#include <stddef.h>

#include <weir/status.h>

/* A bounded text under construction; what does not fit is cut, always terminated. */
struct wi_text {
	char *at;
	size_t room; /* with the end */
	size_t len;
};

void wi_text_init(struct wi_text *t, char *buffer, size_t room);
void wi_text_add(struct wi_text *t, const char *format, ...) WEIR_PRINTF(2, 3);

/* Copies with a bound, always terminated. */
void wi_copy(char *to, size_t room, const char *from);

/*
 * Copies what a server or libpq said so that it is one clean text: control bytes become spaces,
 * white space at the end goes, and each occurrence of `secret` (if given and not empty), whole or
 * %-encoded, becomes "***".
 */
void wi_copy_clean(char *to, size_t room, const char *from, const char *secret);

/* Fills error (may be NULL) and returns status, so that `return wi_fail(...)` is one line. */
weir_status wi_fail(weir_error *error, weir_status status, const char *format, ...)
	WEIR_PRINTF(3, 4);

/* Copies *from into *to, if to is given; returns from->status. */
weir_status wi_fail_with(weir_error *to, const weir_error *from);

/* What a digit of up to sixteen stands for, in either case; -1: it is none. */
int wi_hex_digit(char c);

/* Not tolower: what it does is the host's locale's affair. */
static inline char wi_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The name of `count` in names[] nearest to `name`, or NULL if none is near (edit distance). */
const char *wi_nearest(const char *name, const char *const names[], size_t count);

#endif
