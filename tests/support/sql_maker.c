/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/sql_maker.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/line.h"
#include "support/statements.h"

#define COUNT(list) (uint32_t)(sizeof(list) / sizeof((list)[0]))
#define ONE_OF(m, list) ((list)[wi_rng_below((m)->rng, COUNT(list))])

/* A statement under construction. */
struct maker {
	struct wi_rng *rng;
	struct sql *sql;
	bool evil;
	int depth;
};

static bool chance(struct maker *m, uint32_t one_in)
{
	return wi_rng_below(m->rng, one_in) == 0;
}

static void put(struct maker *m, const char *text)
{
	size_t n = strlen(text);

	if (m->sql->length + n > SQL_ROOM)
		n = SQL_ROOM - m->sql->length;
	memcpy(m->sql->text + m->sql->length, text, n);
	m->sql->length += n;
}

/* White space, in one of its disguises. */
static void space(struct maker *m)
{
	static const char *const spaces[] = {" ",    " ",        " ",       " ",          "\n",
	                                     "\t",   "  ",       "/* c */", "/*/**/ ;*/", "-- c'\n",
	                                     "\r\n", " -- \"\n", "\f"};

	put(m, ONE_OF(m, spaces));
}

/* Words with blanks between them, each blank another. */
static void words(struct maker *m, const char *text)
{
	char word[64];

	while (*text) {
		size_t n = strcspn(text, " ");

		snprintf(word, sizeof(word), "%.*s", (int)n, text);
		put(m, word);
		text += n;
		if (*text) {
			space(m);
			text++;
		}
	}
}

static void query(struct maker *m);

/* ---- expressions ---- */

/* Whether to descend further. */
static bool deeper(struct maker *m)
{
	return m->depth < 6 && m->sql->length < SQL_ROOM / 2 && !chance(m, 3);
}

static void number(struct maker *m);
static void text(struct maker *m);
static void truth(struct maker *m);

static void evil_number(struct maker *m)
{
	static const char *const evils[] = {
		"nextval('s')",
		"NEXTVAL ( 's' )",
		"pg_catalog.nextval('s')",
		"\"nextval\"('s')",
		"('s'::regclass).nextval",
		"setval('s', 5)",
		"txid_current()::text::int",
		"join(1)",
		"over (1)",
		"filter(1)",
		"rollup(1)",
		"sets(1)",
		"\"exists\"(1)",
		"\"select\"(1)",
		"app.select(1)",
		"app.lower('x')",
		"1 OPERATOR(app.-) 1",
		"(SELECT nextval('s'))",
		"(SELECT x.nextval FROM unnest(ARRAY['s'::regclass]) x)",
		"U&\"nextval\"('s')",
		"(SELECT pg_catalog.nextval FROM unnest(ARRAY['s'::regclass]) pg_catalog)",
		"(ARRAY['s'::regclass])[1].nextval",
		"'\\', nextval('s') --'",
		"(SELECT DISTINCT ON (a) over(1) FROM t)",
		"CASE WHEN true THEN nextval('s') END",
		"setseed(0.1)::text::int",
		"length(pg_advisory_lock(1)::text)",
		"(SELECT a FROM t LIMIT 1 FOR UPDATE)",
		"lower(nextval('s')::text)::int"};

	put(m, ONE_OF(m, evils));
	m->evil = false;
}

static void number_call(struct maker *m)
{
	static const char *const calls[] = {"abs(",        "pg_catalog.abs(", "\"abs\"(",
	                                    "coalesce(1,", "greatest(2, ",    "mod(7, 1 + ",
	                                    "ABS (",       "sign(",           "nullif(0,"};

	put(m, ONE_OF(m, calls));
	number(m);
	put(m, ")");
}

static void number_leaf(struct maker *m)
{
	static const char *const leaves[] = {"1",
	                                     "2",
	                                     "3",
	                                     "0.5",
	                                     "1e2",
	                                     "a",
	                                     "t.a",
	                                     "n[1]",
	                                     "(a)",
	                                     "CAST(a AS numeric(10,2))",
	                                     "a::int",
	                                     "random()",
	                                     "length(b)",
	                                     "c",
	                                     "t.c",
	                                     "extract(epoch FROM d)",
	                                     "position('b' IN b)",
	                                     "+1",
	                                     " - 2",
	                                     "(n)[1]",
	                                     "a -- 1\n"};

	put(m, ONE_OF(m, leaves));
}

static void number(struct maker *m)
{
	static const char *const signs[] = {" + ", "-", "*", " / ", " % ", "*/*c*/"};

	if (m->evil && chance(m, 4)) {
		evil_number(m);
		return;
	}
	if (!deeper(m)) {
		number_leaf(m);
		return;
	}
	m->depth++;
	switch (wi_rng_below(m->rng, 7)) {
	case 0:
		number_call(m);
		break;
	case 1:
		put(m, "(");
		number(m);
		put(m, ")");
		break;
	case 2:
		words(m, "CASE WHEN ");
		truth(m);
		words(m, " THEN ");
		number(m);
		words(m, " ELSE 0 END");
		break;
	case 3:
		words(m, "(SELECT count(*) FROM t AS o WHERE ");
		truth(m);
		put(m, ")");
		break;
	default:
		number(m);
		put(m, ONE_OF(m, signs));
		number(m);
	}
	m->depth--;
}

static void text(struct maker *m)
{
	static const char *const leaves[] = {"b",
	                                     "t.b",
	                                     "'x'",
	                                     "'it''s'",
	                                     "E'a\\'b'",
	                                     "$$x$$",
	                                     "$q$ ' $$ $q$",
	                                     "'insert into'",
	                                     "'a'\n  'b'",
	                                     "N'n'",
	                                     "B'01'::text",
	                                     "U&'d\\0061ta'",
	                                     "'日本'",
	                                     "'c:\\\\x'",
	                                     "E'\\\\'",
	                                     "b::varchar(9)",
	                                     "current_user::text",
	                                     "to_char(d, 'YYYY')",
	                                     "current_setting('work_mem')"};
	static const char *const calls[] = {"lower(",
	                                    "upper (",
	                                    "pg_catalog.lower(",
	                                    "trim(BOTH 'b' FROM ",
	                                    "substring(",
	                                    "quote_literal(",
	                                    "md5("};
	static const char *const ends[] = {")", ")", ")", ")", " FROM 1 FOR 2)", ")", ")"};
	uint32_t i;

	if (!deeper(m)) {
		put(m, ONE_OF(m, leaves));
		return;
	}
	m->depth++;
	i = wi_rng_below(m->rng, COUNT(calls) + 2);
	if (i < COUNT(calls)) {
		put(m, calls[i]);
		text(m);
		put(m, ends[i]);
	} else {
		text(m);
		put(m, " || ");
		text(m);
	}
	m->depth--;
}

static void comparison(struct maker *m)
{
	static const char *const of_texts[] = {" = ",     " <> ",       " LIKE ",
	                                       " ILIKE ", " ~ ",        " !~* ",
	                                       " < ",     " NOT LIKE ", " IS DISTINCT FROM "};
	static const char *const of_numbers[] = {" = ", "<", ">=", " <> ",
	                                         " IS NOT DISTINCT FROM "};

	if (chance(m, 2)) {
		text(m);
		put(m, ONE_OF(m, of_texts));
		text(m);
	} else {
		number(m);
		put(m, ONE_OF(m, of_numbers));
		number(m);
	}
}

static void truth(struct maker *m)
{
	m->depth++;
	switch (wi_rng_below(m->rng, deeper(m) ? 8 : 3)) {
	case 0:
		words(m, "a BETWEEN 1 AND 5");
		break;
	case 1:
		words(m, "a = ANY (ARRAY[1, 2])");
		break;
	case 3:
		words(m, "EXISTS (");
		query(m);
		put(m, ")");
		break;
	case 4:
		put(m, "(");
		truth(m);
		words(m, ") AND NOT (");
		truth(m);
		put(m, ")");
		break;
	case 5:
		number(m);
		words(m, " IN (1, 2, 3)");
		break;
	case 6:
		put(m, "(");
		truth(m);
		put(m, chance(m, 2) ? ") OR (b) = ('x')" : ") IS TRUE");
		break;
	default:
		comparison(m);
	}
	m->depth--;
}

/* ---- queries ---- */

static void target(struct maker *m)
{
	static const char *const others[] = {"*",
	                                     "t.*",
	                                     "count(*) OVER ()",
	                                     "sum(a) OVER (PARTITION BY b ORDER BY a)",
	                                     "row_number() OVER w",
	                                     "ROW(a, b)",
	                                     "j->'x'",
	                                     "to_jsonb(t)",
	                                     "ARRAY(SELECT 1)",
	                                     "rank() OVER (w)",
	                                     "generate_series(1, 2)",
	                                     "count(*) FILTER (WHERE a > 1) OVER (w)",
	                                     "now() - interval '1 day'",
	                                     "d AT TIME ZONE 'UTC'",
	                                     "xmlelement(name x, b)",
	                                     "*"};

	switch (wi_rng_below(m->rng, 4)) {
	case 0:
		put(m, ONE_OF(m, others));
		break;
	case 1:
		text(m);
		break;
	default:
		number(m);
		if (chance(m, 3))
			words(m, chance(m, 2) ? " AS \"update\"" : " AS x");
	}
}

static void source(struct maker *m)
{
	static const char *const sources[] = {"t",
	                                      "t AS t",
	                                      "public.t",
	                                      "ONLY (t) ",
	                                      "t TABLESAMPLE system (50)",
	                                      "t JOIN (SELECT 1 AS k) o ON (o.k = t.a)",
	                                      "t LEFT JOIN LATERAL (SELECT t.a) l (z) ON true",
	                                      "t CROSS JOIN generate_series(1, 2) g(i)",
	                                      "t, (VALUES (1, 2)) AS v (y, z)",
	                                      "t, ROWS FROM (unnest(ARRAY[1, 2])) WITH ORDINALITY",
	                                      "t NATURAL JOIN keys"};

	if (deeper(m) && chance(m, 5)) {
		m->depth++;
		words(m, "t CROSS JOIN (");
		query(m);
		put(m, ") q");
		m->depth--;
		return;
	}
	/* "WITH ORDINALITY" as one: libpg_query knows no comment there */
	put(m, ONE_OF(m, sources));
}

static void evil_end(struct maker *m)
{
	static const char *const evils[] = {" FOR UPDATE OF t",      " FOR SHARE",
	                                    " FOR NO KEY UPDATE",    " FOR KEY SHARE SKIP LOCKED",
	                                    "; SELECT nextval('s')", " OFFSET nextval('s')"};

	put(m, ONE_OF(m, evils));
	m->evil = false;
}

/* A SELECT without WITH; the window w is always there, so that any target may name it. */
static void select_one(struct maker *m)
{
	words(m, chance(m, 6) ? "select distinct " : "SELECT ");
	target(m);
	while (chance(m, 2) && m->sql->length < SQL_ROOM / 2) {
		put(m, ", ");
		target(m);
	}
	if (m->evil && chance(m, 12)) {
		words(m, " INTO evil");
		m->evil = false;
	}
	words(m, " FROM ");
	source(m);
	if (chance(m, 2)) {
		words(m, " WHERE ");
		truth(m);
	}
	words(m, " WINDOW w AS (ORDER BY a)");
	if (chance(m, 3))
		words(m, " ORDER BY 1");
	if (chance(m, 3))
		words(m, chance(m, 2) ? " LIMIT 3" : " FETCH FIRST 3 ROWS ONLY");
	if (m->evil && chance(m, 6))
		evil_end(m);
}

static void with(struct maker *m)
{
	static const char *const evils[] = {"(DELETE FROM t WHERE false RETURNING a)",
	                                    "(INSERT INTO t (a) VALUES (0) RETURNING a)",
	                                    "(UPDATE t SET a = a RETURNING a)"};
	static const char *const heads[] = {"WITH z AS ", "WITH RECURSIVE z (q) AS ",
	                                    "with z as materialized ",
	                                    "WITH z AS NOT MATERIALIZED "};

	words(m, ONE_OF(m, heads));
	if (m->evil && chance(m, 3)) {
		put(m, ONE_OF(m, evils));
		m->evil = false;
	} else {
		put(m, "(SELECT ");
		number(m);
		words(m, " FROM t)");
	}
	space(m);
}

static void query(struct maker *m)
{
	static const char *const sets[] = {" UNION ALL ", " EXCEPT ", " INTERSECT "};

	m->depth++;
	if (chance(m, 5))
		with(m);
	if (chance(m, 12)) {
		put(m, "(");
		select_one(m);
		put(m, ")");
		words(m, ONE_OF(m, sets));
		put(m, "(");
		select_one(m);
		put(m, ")");
	} else if (chance(m, 20)) {
		words(m, "VALUES (1, 'x'), (");
		number(m);
		put(m, ", 'y')");
	} else {
		select_one(m);
	}
	m->depth--;
}

void sql_make(struct wi_rng *rng, bool evil, struct sql *sql)
{
	static const char *const heads[] = {"EXPLAIN ", "EXPLAIN (COSTS off, FORMAT json) ",
	                                    "explain verbose ", "EXPLAIN (ANALYZE) "};
	struct maker m = {.rng = rng, .sql = sql, .evil = evil && wi_rng_below(rng, 3) == 0};

	sql->length = 0;
	if (chance(&m, 8))
		words(&m, heads[wi_rng_below(rng, m.evil ? 4 : 3)]);
	query(&m);
	if (chance(&m, 4))
		put(&m, ";");
}

/* ---- damage ---- */

static void cut(struct sql *sql, size_t at, size_t n)
{
	memmove(sql->text + at, sql->text + at + n, sql->length - at - n);
	sql->length -= n;
}

static void insert(struct sql *sql, size_t at, const char *what, size_t n)
{
	if (sql->length + n > SQL_ROOM)
		return;
	memmove(sql->text + at + n, sql->text + at, sql->length - at);
	memcpy(sql->text + at, what, n);
	sql->length += n;
}

static void insert_piece(struct wi_rng *rng, struct sql *sql, size_t at)
{
	static const char *const pieces[] = {"'",
	                                     "\"",
	                                     "''",
	                                     "\\",
	                                     "\\'",
	                                     "$$",
	                                     "$x$",
	                                     "(",
	                                     ")",
	                                     "[",
	                                     "]",
	                                     ".",
	                                     ";",
	                                     ",",
	                                     "/*",
	                                     "*/",
	                                     "--",
	                                     "\n",
	                                     "E'",
	                                     "U&\"",
	                                     "u&'",
	                                     "x'",
	                                     "$1",
	                                     "1",
	                                     "::",
	                                     " AS ",
	                                     " FOR ",
	                                     " UPDATE ",
	                                     " INTO ",
	                                     "nextval",
	                                     "(1)",
	                                     "\xe9",
	                                     "\xc3\xa9",
	                                     "\xe3\x82\xa2\\",
	                                     "e",
	                                     " join",
	                                     " over ",
	                                     ".nextval",
	                                     " WITH ",
	                                     " DISTINCT ON (a) ",
	                                     "pg_catalog.",
	                                     "total(1)",
	                                     "nextval('s')",
	                                     " SELECT ",
	                                     " DELETE FROM t ",
	                                     "operator",
	                                     "-",
	                                     "*",
	                                     "&",
	                                     " not ",
	                                     " group by ",
	                                     " rollup(1)",
	                                     "over(1)",
	                                     "join(1)",
	                                     "@",
	                                     ":",
	                                     "a"};
	const char *piece = pieces[wi_rng_below(rng, COUNT(pieces))];

	insert(sql, at, piece, strlen(piece));
}

static void damage_once(struct wi_rng *rng, struct sql *sql)
{
	size_t at = wi_rng_below(rng, (uint32_t)sql->length + 1), n = wi_rng_below(rng, 9) + 1;
	char copy[64];

	if (n > sql->length - at)
		n = sql->length - at;
	switch (wi_rng_below(rng, 8)) {
	case 0:
		cut(sql, at, n);
		break;
	case 1:
		n *= 4;
		if (at + n <= sql->length) {
			memcpy(copy, sql->text + at, n);
			insert(sql, wi_rng_below(rng, (uint32_t)sql->length + 1), copy, n);
		}
		break;
	case 2:
		if (at < sql->length)
			sql->text[at] = (char)(32 + wi_rng_below(rng, 95));
		break;
	case 3:
		if (at < sql->length && wi_rng_below(rng, 8) == 0)
			sql->text[at] = (char)wi_rng_below(rng, 256);
		break;
	default:
		insert_piece(rng, sql, at);
	}
}

void sql_damage(struct wi_rng *rng, struct sql *sql)
{
	for (uint32_t n = wi_rng_below(rng, 4) + 1; n; n--)
		damage_once(rng, sql);
}

void sql_nth(struct wi_rng *rng, size_t i, struct sql *sql, bool *whole)
{
	const struct statement *s;

	*whole = i < n_statements || wi_rng_below(rng, 2) == 0;
	if (i >= n_statements && wi_rng_below(rng, 2) == 0) {
		sql_make(rng, true, sql);
	} else {
		s = &statements[i < n_statements ? i : wi_rng_below(rng, (uint32_t)n_statements)];
		sql->length = s->length ? s->length : strlen(s->sql);
		memcpy(sql->text, s->sql, sql->length);
	}
	if (!*whole)
		sql_damage(rng, sql);
}
