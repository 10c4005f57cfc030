/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lexer. Each function passes one kind of piece, and stands behind it when it has returned OK
 * (0, as WEIR_SQL_READS is), or in its middle when it says what is wrong with it.
 *
 * A string that goes on in the next line ('a' <newline> 'b') comes as two: they end where the one
 * ends, since a backslash whose meaning would differ is refused anyway. So do B'', X'', N'' and
 * U&'' as a word and a string.
 */
#include "sql/lexer.h"

#include <string.h>

#include "base/line.h"

#define OK WEIR_SQL_READS

static bool is_letter(unsigned char c)
{
	return (unsigned)(c | 0x20) - 'a' < 26 || c == '_' || c >= 0x80;
}

static bool is_digit(unsigned char c)
{
	return (unsigned)c - '0' < 10;
}

static unsigned char lower(unsigned char c)
{
	return (unsigned)c - 'A' < 26 ? c | 0x20 : c;
}

/* The byte so far ahead; 0 behind the end, as in the text it is refused. */
static unsigned char peek(const struct wi_lexer *l, size_t ahead)
{
	return l->at + ahead < l->length ? (unsigned char)l->sql[l->at + ahead] : 0;
}

/* ---- characters ---- */

static bool continues(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* The length of a character beyond ASCII; 0: not UTF-8, as RFC 3629 has it. */
static size_t wide_length(const struct wi_lexer *l)
{
	unsigned char a = peek(l, 0), b = peek(l, 1);

	if (a < 0xc2 || a > 0xf4 || !continues(b))
		return 0;
	if (a < 0xe0)
		return 2;
	if ((a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f) || (a == 0xf0 && b < 0x90) ||
	    (a == 0xf4 && b > 0x8f) || !continues(peek(l, 2)))
		return 0;
	if (a < 0xf0)
		return 3;
	return continues(peek(l, 3)) ? 4 : 0;
}

/* Passes a character, in quotes or a comment; false: it is none. */
static bool pass(struct wi_lexer *l)
{
	unsigned char c = (unsigned char)l->sql[l->at];
	size_t n = c < 0x80 ? c != 0 : wide_length(l);

	l->at += n;
	return n != 0;
}

/* ---- white space and comments ---- */

static weir_sql_why pass_line(struct wi_lexer *l)
{
	while (l->at < l->length && l->sql[l->at] != '\n' && l->sql[l->at] != '\r')
		if (!pass(l))
			return WEIR_SQL_BYTES;
	return OK;
}

/* They nest. */
static weir_sql_why pass_comment(struct wi_lexer *l)
{
	size_t depth = 0;

	while (l->at < l->length) {
		unsigned char c = peek(l, 0), next = peek(l, 1);

		if (c == '/' && next == '*') {
			depth++;
			l->at += 2;
		} else if (c == '*' && next == '/') {
			l->at += 2;
			if (!--depth)
				return OK;
		} else if (!pass(l)) {
			return WEIR_SQL_BYTES;
		}
	}
	return WEIR_SQL_UNENDED;
}

static weir_sql_why pass_blank(struct wi_lexer *l)
{
	weir_sql_why why = OK;

	while (l->at < l->length && why == OK) {
		unsigned char c = peek(l, 0);

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f')
			l->at++;
		else if (c == '-' && peek(l, 1) == '-')
			why = pass_line(l);
		else if (c == '/' && peek(l, 1) == '*')
			why = pass_comment(l);
		else
			break;
	}
	return why;
}

/* ---- strings ---- */

/*
 * From its quote on. Where a backslash escapes only by some settings, it may not stand where that
 * would move the end.
 */
static weir_sql_why pass_string(struct wi_lexer *l, bool escapes)
{
	bool escaped = false, wide = false;

	l->at++;
	while (l->at < l->length) {
		unsigned char c = (unsigned char)l->sql[l->at];

		if (c == '\'' && escaped && !escapes)
			return WEIR_SQL_BACKSLASH;
		if (c == '\\' && wide)
			return WEIR_SQL_BACKSLASH;
		if (c == '\'' && !escaped) {
			l->at++;
			if (peek(l, 0) != '\'')
				return OK;
		}
		escaped = c == '\\' && !escaped;
		wide = c >= 0x80;
		if (!pass(l))
			return WEIR_SQL_BYTES;
	}
	return WEIR_SQL_UNENDED;
}

/* The tag at a dollar sign, with both: its length; 0: there is none. */
static size_t tag_length(const struct wi_lexer *l)
{
	size_t n = 1;

	if (is_digit(peek(l, 1)))
		return 0;
	while (is_letter(peek(l, n)) || is_digit(peek(l, n)))
		n++;
	return peek(l, n) == '$' ? n + 1 : 0;
}

static weir_sql_why pass_dollars(struct wi_lexer *l, size_t tag)
{
	const char *begin = l->sql + l->at;
	size_t end = l->at + tag;

	/* Letters of the tag may be wide. */
	while (l->at < end)
		if (!pass(l))
			return WEIR_SQL_BYTES;
	while (l->at < l->length) {
		if (l->sql[l->at] == '$' && l->length - l->at >= tag &&
		    !memcmp(l->sql + l->at, begin, tag)) {
			l->at += tag;
			return OK;
		}
		if (!pass(l))
			return WEIR_SQL_BYTES;
	}
	return WEIR_SQL_UNENDED;
}

/* ---- names ---- */

/* Of a name of at most eight letters. */
static enum wi_key key_of(const char *name, size_t n)
{
	uint64_t letters = 0;

	for (size_t i = 0; i < n; i++)
		letters |= (uint64_t)(unsigned char)name[i] << 8 * i;
	switch (letters) {
#define PACK(a, b, c, d, e, f, g, h, ...)                                                          \
	((uint64_t)(a) | (uint64_t)(b) << 8 | (uint64_t)(c) << 16 | (uint64_t)(d) << 24 |          \
	 (uint64_t)(e) << 32 | (uint64_t)(f) << 40 | (uint64_t)(g) << 48 | (uint64_t)(h) << 56)
#define CASE(name, ...)                                                                            \
	case PACK(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0, 0):                                            \
		return WI_KEY_##name;
		WI_KEY_MAP(CASE)
#undef CASE
#undef PACK
	}
	return WI_KEY_NONE;
}

/* What may stand in a word, in lower case; 0: it may not. */
static const unsigned char in_word[256] = {
	0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
	0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
	0,    0,    0,    0,    0,    0,    '$',  0,    0,    0,    0,    0,    0,    0,    0,
	0,    0,    0,    '0',  '1',  '2',  '3',  '4',  '5',  '6',  '7',  '8',  '9',  0,    0,
	0,    0,    0,    0,    0,    'a',  'b',  'c',  'd',  'e',  'f',  'g',  'h',  'i',  'j',
	'k',  'l',  'm',  'n',  'o',  'p',  'q',  'r',  's',  't',  'u',  'v',  'w',  'x',  'y',
	'z',  0,    0,    0,    0,    '_',  0,    'a',  'b',  'c',  'd',  'e',  'f',  'g',  'h',
	'i',  'j',  'k',  'l',  'm',  'n',  'o',  'p',  'q',  'r',  's',  't',  'u',  'v',  'w',
	'x',  'y',  'z',  0,    0,    0,    0,    0,    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86,
	0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95,
	0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4,
	0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xb0, 0xb1, 0xb2, 0xb3,
	0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc0, 0xc1, 0xc2,
	0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1,
	0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0,
	0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef,
	0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe,
	0xff,
};

static weir_sql_why pass_word(struct wi_lexer *l, struct wi_piece *p)
{
	const unsigned char *sql = (const unsigned char *)l->sql;
	size_t n = 0, wide = 0; /* so many bytes of a wide character are still to come */
	unsigned char c;

	for (; l->at < l->length && (c = in_word[sql[l->at]]); l->at++, n++) {
		if (wi_unlikely(c >= 0x80)) {
			if (!wide && !(wide = wide_length(l)))
				return WEIR_SQL_BYTES;
			wide--;
		}
		if (wi_likely(n < WI_NAME_MAX))
			p->name[n] = (char)c;
	}
	p->name[n <= WI_NAME_MAX ? n : 0] = '\0';
	p->kind = WI_PIECE_WORD;
	p->key = n <= 8 ? key_of(p->name, n) : WI_KEY_NONE;
	return OK;
}

static weir_sql_why pass_quoted(struct wi_lexer *l, struct wi_piece *p)
{
	size_t n = 0, begin;

	l->at++;
	while (l->at < l->length) {
		if (l->sql[l->at] == '"') {
			l->at++;
			if (peek(l, 0) != '"') {
				p->name[n <= WI_NAME_MAX ? n : 0] = '\0';
				p->kind = WI_PIECE_QUOTED;
				return OK;
			}
		}
		begin = l->at;
		if (!pass(l))
			return WEIR_SQL_BYTES;
		for (; begin < l->at; begin++, n++)
			if (n < WI_NAME_MAX)
				p->name[n] = l->sql[begin];
	}
	return WEIR_SQL_UNENDED;
}

/* ---- numbers ---- */

static void pass_digits(struct wi_lexer *l)
{
	while (is_digit(peek(l, 0)))
		l->at++;
}

/* What follows is a piece of its own in every version. */
static weir_sql_why ends_clearly(const struct wi_lexer *l)
{
	unsigned char c = peek(l, 0);

	return is_letter(c) || is_digit(c) || c == '$' ? WEIR_SQL_NUMBER : OK;
}

static weir_sql_why pass_number(struct wi_lexer *l)
{
	size_t sign;

	pass_digits(l);
	if (peek(l, 0) == '.' && peek(l, 1) != '.') {
		l->at++;
		pass_digits(l);
	}
	sign = peek(l, 1) == '+' || peek(l, 1) == '-';
	if (lower(peek(l, 0)) == 'e' && is_digit(peek(l, 1 + sign))) {
		l->at += 1 + sign;
		pass_digits(l);
	}
	return ends_clearly(l);
}

static weir_sql_why pass_param(struct wi_lexer *l)
{
	l->at++;
	pass_digits(l);
	return ends_clearly(l);
}

/* ---- pieces ---- */

static weir_sql_why pass_sign(struct wi_lexer *l, struct wi_piece *p)
{
	unsigned char c = peek(l, 0);

	if (!c || !strchr(",()[].;:+-*/<>=~!@#%^&|`?", c))
		return WEIR_SQL_BYTES;
	p->kind = WI_PIECE_SIGN;
	p->sign = (char)c;
	l->at++;
	return OK;
}

static weir_sql_why pass_dollar(struct wi_lexer *l, struct wi_piece *p)
{
	size_t tag = tag_length(l);

	if (tag) {
		p->kind = WI_PIECE_STRING;
		return pass_dollars(l, tag);
	}
	if (!is_digit(peek(l, 1)))
		return WEIR_SQL_BYTES;
	p->kind = WI_PIECE_PARAM;
	return pass_param(l);
}

static weir_sql_why pass_piece(struct wi_lexer *l, struct wi_piece *p)
{
	unsigned char c = peek(l, 0), next = peek(l, 1);

	if (lower(c) == 'e' && next == '\'') {
		l->at++;
		p->kind = WI_PIECE_STRING;
		return pass_string(l, true);
	}
	if (lower(c) == 'u' && next == '&' && peek(l, 2) == '"')
		return WEIR_SQL_UNICODE;
	if (is_letter(c))
		return pass_word(l, p);
	if (c == '\'') {
		p->kind = WI_PIECE_STRING;
		return pass_string(l, false);
	}
	if (c == '"')
		return pass_quoted(l, p);
	if (is_digit(c) || (c == '.' && is_digit(next))) {
		p->kind = WI_PIECE_NUMBER;
		return pass_number(l);
	}
	return c == '$' ? pass_dollar(l, p) : pass_sign(l, p);
}

void wi_lexer_next(struct wi_lexer *l, struct wi_piece *p)
{
	p->key = WI_KEY_NONE;
	p->sign = 0;
	p->kind = WI_PIECE_END;
	p->at = l->at;
	p->why = pass_blank(l);
	if (p->why == OK) {
		p->at = l->at;
		if (l->at < l->length)
			p->why = pass_piece(l, p);
	}
	p->length = l->at - p->at;
	if (wi_unlikely(p->why != OK)) {
		p->kind = WI_PIECE_BAD;
		/* At least the byte that it is about. */
		if (!p->length && l->at < l->length)
			p->length = 1;
	}
}
