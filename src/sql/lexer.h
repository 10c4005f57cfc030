/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SQL in pieces, as PostgreSQL's scanner takes it apart, by a loop and without memory of its own.
 *
 * Where the server's settings or version decide how far a piece goes, there is none: BAD, and the
 * reason. So whoever goes by the pieces sees what every server sees, or nothing:
 *
 *   standard_conforming_strings   a backslash before the quote of a plain string
 *   client_encoding               bytes that are no UTF-8; a backslash right behind a byte that in
 *                                 some encodings takes the next one with it
 *   the version                   a letter right behind a number or a parameter
 */
#ifndef WI_SQL_LEXER_H
#define WI_SQL_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/classify.h>

enum wi_piece_kind {
	WI_PIECE_END,
	WI_PIECE_WORD,   /* a name or a key word without quotes */
	WI_PIECE_QUOTED, /* a "name" */
	WI_PIECE_STRING,
	WI_PIECE_NUMBER,
	WI_PIECE_PARAM, /* $1 */
	WI_PIECE_SIGN,  /* one character of punctuation or of an operator */
	WI_PIECE_BAD,
};

/* The words that mean something to the rule; each has at most eight letters. */
#define WI_KEY_MAP(X)                                                                              \
	X(SELECT, 's', 'e', 'l', 'e', 'c', 't')                                                    \
	X(VALUES, 'v', 'a', 'l', 'u', 'e', 's')                                                    \
	X(TABLE, 't', 'a', 'b', 'l', 'e')                                                          \
	X(SHOW, 's', 'h', 'o', 'w')                                                                \
	X(EXPLAIN, 'e', 'x', 'p', 'l', 'a', 'i', 'n')                                              \
	X(VERBOSE, 'v', 'e', 'r', 'b', 'o', 's', 'e')                                              \
	X(WITH, 'w', 'i', 't', 'h')                                                                \
	X(AS, 'a', 's')                                                                            \
	X(NOT, 'n', 'o', 't')                                                                      \
	X(ON, 'o', 'n')                                                                            \
	X(BY, 'b', 'y')                                                                            \
	X(DISTINCT, 'd', 'i', 's', 't', 'i', 'n', 'c', 't')                                        \
	X(WHERE, 'w', 'h', 'e', 'r', 'e')                                                          \
	X(ORDER, 'o', 'r', 'd', 'e', 'r')                                                          \
	X(GROUP, 'g', 'r', 'o', 'u', 'p')                                                          \
	X(OPERATOR, 'o', 'p', 'e', 'r', 'a', 't', 'o', 'r')                                        \
	X(FOR, 'f', 'o', 'r')                                                                      \
	X(NO, 'n', 'o')                                                                            \
	X(KEY, 'k', 'e', 'y')                                                                      \
	X(SHARE, 's', 'h', 'a', 'r', 'e')                                                          \
	WI_KEY_DENIED_MAP(X)

/* No statement that only reads has these, or only as a name. */
#define WI_KEY_DENIED_MAP(X)                                                                       \
	X(INSERT, 'i', 'n', 's', 'e', 'r', 't')                                                    \
	X(UPDATE, 'u', 'p', 'd', 'a', 't', 'e')                                                    \
	X(DELETE, 'd', 'e', 'l', 'e', 't', 'e')                                                    \
	X(MERGE, 'm', 'e', 'r', 'g', 'e')                                                          \
	X(INTO, 'i', 'n', 't', 'o')                                                                \
	X(ANALYZE, 'a', 'n', 'a', 'l', 'y', 'z', 'e')                                              \
	X(ANALYSE, 'a', 'n', 'a', 'l', 'y', 's', 'e')                                              \
	X(CALL, 'c', 'a', 'l', 'l')                                                                \
	X(COPY, 'c', 'o', 'p', 'y')                                                                \
	X(CREATE, 'c', 'r', 'e', 'a', 't', 'e')                                                    \
	X(ALTER, 'a', 'l', 't', 'e', 'r')                                                          \
	X(DROP, 'd', 'r', 'o', 'p')                                                                \
	X(DO, 'd', 'o')                                                                            \
	X(EXECUTE, 'e', 'x', 'e', 'c', 'u', 't', 'e')                                              \
	X(PREPARE, 'p', 'r', 'e', 'p', 'a', 'r', 'e')                                              \
	X(GRANT, 'g', 'r', 'a', 'n', 't')                                                          \
	X(REVOKE, 'r', 'e', 'v', 'o', 'k', 'e')                                                    \
	X(LOCK, 'l', 'o', 'c', 'k')                                                                \
	X(TRUNCATE, 't', 'r', 'u', 'n', 'c', 'a', 't', 'e')                                        \
	X(NOTIFY, 'n', 'o', 't', 'i', 'f', 'y')                                                    \
	X(LISTEN, 'l', 'i', 's', 't', 'e', 'n')

enum wi_key {
	WI_KEY_NONE,
#define WI_KEY_ENUM(name, ...) WI_KEY_##name,
	WI_KEY_MAP(WI_KEY_ENUM)
#undef WI_KEY_ENUM
};

#define WI_NAME_MAX 63 /* longer names are cut by the server */

struct wi_piece {
	enum wi_piece_kind kind;
	enum wi_key key;  /* of a WORD */
	char sign;        /* of a SIGN, else 0 */
	weir_sql_why why; /* of a BAD */
	size_t at, length;
	/* of a WORD in lower case, of a QUOTED as it is meant; "" if it is too long */
	char name[WI_NAME_MAX + 1];
};

struct wi_lexer {
	const char *sql;
	size_t length;
	size_t at;
};

/* The next piece, without comments and white space; after END and BAD comes nothing sensible. */
void wi_lexer_next(struct wi_lexer *lexer, struct wi_piece *piece);

#endif
