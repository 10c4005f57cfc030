/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a text of SQL only reads: an opt-in helper for callers that cannot say it themselves.
 *
 * Who knows what he is about to do should say so in weir_checkout, and not ask here. What is read
 * here is only the text, so the rule is an allow-list, and its one mistake is to say "primary" of
 * what a replica could have served. A text is a read if it is one SELECT, VALUES, TABLE, WITH, SHOW
 * or plain EXPLAIN, has no word that writes or locks, and every name before a parenthesis is a
 * built-in function that only reads, or one that the caller vouches for.
 *
 * What no text can show, and has to be known of the database: views, operators, casts, types and
 * row policies that call functions which write; a function of the program's own that has a built-in
 * one's name, or is called as a name behind a dot (t.f for f(t)); unlogged and temporary tables,
 * which a standby does not have. Name such functions in `refused`, and give read checkouts to
 * programs that do without.
 *
 * It judges one text, not a transaction: inside one the host never changes, since all of it runs on
 * one connection. So BEGIN, in whichever mode, is a write here: who wants a transaction on a
 * replica says WEIR_READ himself.
 */
#ifndef WEIR_CLASSIFY_H
#define WEIR_CLASSIFY_H

#include <stddef.h>

#include <weir/export.h>
#include <weir/router.h>

WEIR_BEGIN

/* Why a text is a read or not: name, text. New ones are added at the end. */
#define WEIR_SQL_MAP(X)                                                                            \
	X(READS, "one statement that only reads")                                                  \
	X(EMPTY, "there is no statement")                                                          \
	X(STATEMENT, "the statement does not begin like one that only reads")                      \
	X(SEVERAL, "there is more than one statement")                                             \
	X(WORD, "there is a word that writes, locks or defines")                                   \
	X(LOCKS, "it locks the rows it reads")                                                     \
	X(FUNCTION, "a function that is not known to only read")                                   \
	X(FIELD, "a name behind a dot that could be a function")                                   \
	X(OPERATOR, "an operator with its schema is a function by another name")                   \
	X(EXPLAIN, "an EXPLAIN that runs the statement, or whose options are not known")           \
	X(UNICODE, "a name written in U&\"\" may be any name")                                     \
	X(BACKSLASH, "a backslash whose meaning depends on the session")                           \
	X(UNENDED, "a string, name or comment does not end")                                       \
	X(UNBALANCED, "parentheses or brackets do not match")                                      \
	X(NUMBER, "a number that versions of PostgreSQL read differently")                         \
	X(BYTES, "not UTF-8, or a byte that no SQL has")                                           \
	X(RULES, "the rules ask for something that this weir does not know")

typedef enum weir_sql_why {
#define WEIR_SQL_ENUM(name, text) WEIR_SQL_##name,
	WEIR_SQL_MAP(WEIR_SQL_ENUM)
#undef WEIR_SQL_ENUM
		WEIR_SQL_WHYS
} weir_sql_why;

/*
 * What the caller knows of his functions. Names as the catalog has them: "total", "app.total",
 * "Total" for one that needs quotes. Both lists are searched for each call in a text.
 */
typedef struct weir_classify_rules {
	size_t size;                  /* sizeof(weir_classify_rules), set by WEIR_CLASSIFY_RULES */
	const char *const *functions; /* only read, and do so on a standby, too */
	size_t n_functions;
	const char *const *refused; /* do not, whatever weir's own list says of that name */
	size_t n_refused;
} weir_classify_rules;

/* Rules with their size, for designated initializers. */
#define WEIR_CLASSIFY_RULES(...)                                                                   \
	((weir_classify_rules){.size = sizeof(weir_classify_rules), __VA_ARGS__})

/* Why, and where: the `length` bytes from `at` on are what decided. */
typedef struct weir_verdict {
	weir_intent intent;
	weir_sql_why why;
	size_t at;
	size_t length;
} weir_verdict;

/*
 * WEIR_READ if the text, of `length` bytes, only reads; else WEIR_WRITE. rules may be NULL. Any
 * thread, in a signal handler, too. Never blocks, allocates nothing, keeps nothing, uses little
 * stack whatever the text; the time is proportional to the text, with rules to text and rules.
 */
WEIR_API weir_intent weir_classify(const char *sql, size_t length,
                                   const weir_classify_rules *rules);

/* The same with its reason. */
WEIR_API weir_verdict weir_classify_why(const char *sql, size_t length,
                                        const weir_classify_rules *rules);

/* Short words for a reason: its name, and a sentence. Never NULL; static storage. */
WEIR_API const char *weir_sql_why_name(weir_sql_why why);
WEIR_API const char *weir_sql_why_text(weir_sql_why why);

WEIR_END

#endif
