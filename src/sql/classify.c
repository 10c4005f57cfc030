/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rule: a walk over the pieces of a text that ends at the first one a read cannot have.
 *
 * What calls a function. In PostgreSQL's grammar a call is a name, with dots at most, right before
 * a parenthesis; so each name there must be known. It is no call, whatever the name, where
 *
 *   the name stands right behind AS, WITH or WITH RECURSIVE: it is being given (AS t (a, b));
 *   it stands right behind a closing parenthesis: (...) t (a, b), f(x) OVER (...). Only behind
 *     DISTINCT ON (...) an expression may follow, so a text that has that goes without this;
 *   SELECT, WITH, TABLE, WHERE or ORDER is the first word in the parentheses: no argument begins
 *     so (JOIN (SELECT ...), FILTER (WHERE ...)).
 *
 * The other way to call a function of one value is as if it were a field, x.nextval: so such names
 * are looked for behind dots, and behind one that follows a parenthesis, a bracket or a parameter
 * no name is taken.
 */
#include <string.h>

#include <weir/classify.h>

#include "base/line.h"
#include "sql/lexer.h"
#include "sql/names.h"

/* How a name is composed: a, a.b, or more. */
struct name {
	bool is;                      /* the last piece is its end */
	unsigned parts;               /* 1: no dot */
	char schema[WI_NAME_MAX + 1]; /* the part before the last */
};

struct reader {
	struct wi_lexer lexer;
	struct wi_piece rooms[3];
	struct wi_piece *now, *last, *before; /* the piece at hand, and the two before it */
	const weir_classify_rules *rules;
	struct name name;
	uint64_t parens, brackets; /* open ones */
	bool distinct_on;          /* there has been one */
	bool behind_value;         /* a dot that follows a value is the last piece */
	bool behind_dot;           /* a dot that follows a name is */
	struct wi_piece call;      /* at and length: a name before `(` that has to be no call */
	bool must_not_call;
	weir_verdict verdict;
};

/* ---- ends ---- */

/* Ends the walk; false, so that it can be returned. */
static bool no(struct reader *r, weir_sql_why why, const struct wi_piece *p)
{
	r->verdict =
		(weir_verdict){.intent = WEIR_WRITE, .why = why, .at = p->at, .length = p->length};
	return false;
}

/* ---- names ---- */

static bool is_listed(const char *const *list, size_t n, const struct name *name, const char *last)
{
	size_t schema = name->parts == 2 ? strlen(name->schema) : 0;

	for (size_t i = 0; list && i < n; i++) {
		const char *at = list[i];

		if (!at)
			continue;
		if (schema) {
			if (strncmp(at, name->schema, schema) != 0 || at[schema] != '.')
				continue;
			at += schema + 1;
		}
		if (!strcmp(at, last))
			return true;
	}
	return false;
}

static bool is_refused(const struct reader *r, const struct name *name, const char *last)
{
	return r->rules && is_listed(r->rules->refused, r->rules->n_refused, name, last);
}

/* Two words that are neither a function's name nor a field's, with a parenthesis behind them. */
static bool is_phrase(const struct wi_piece *first, const struct wi_piece *second)
{
	static const char *const phrases[][2] = {
		{"grouping", "sets"},      {"group", "rollup"},      {"group", "cube"},
		{"tablesample", "system"}, {"character", "varying"}, {"tablesample", "bernoulli"},
		{"char", "varying"},       {"nchar", "varying"},     {"bit", "varying"}};

	if (first->kind != WI_PIECE_WORD || second->kind != WI_PIECE_WORD)
		return false;
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (!strcmp(second->name, phrases[i][1]) && !strcmp(first->name, phrases[i][0]))
			return true;
	return false;
}

/* A name is being given there, or the grammar's own word stands there: see the head. */
static bool is_no_call(const struct reader *r)
{
	if (r->name.parts != 1)
		return false;
	if (r->before->key == WI_KEY_AS || r->before->key == WI_KEY_WITH)
		return true;
	if (r->before->sign == ')' && !r->distinct_on)
		return true;
	return is_phrase(r->before, r->last);
}

static bool only_reads(const struct reader *r, const struct name *name, const struct wi_piece *p)
{
	enum wi_name what;

	if (!p->name[0] || name->parts > 2 || (name->parts == 2 && !name->schema[0]))
		return false;
	if (r->rules && is_listed(r->rules->functions, r->rules->n_functions, name, p->name))
		return true;
	if (name->parts == 2 && strcmp(name->schema, "pg_catalog") != 0)
		return false;
	what = wi_name_find(p->name);
	return what == WI_NAME_READS ||
	       (what != WI_NAME_UNKNOWN && p->kind == WI_PIECE_WORD && name->parts == 1);
}

/* `(` is at hand, and a name right before it. */
static bool judge_call(struct reader *r)
{
	const struct wi_piece *p = r->last;

	if (p->key == WI_KEY_OPERATOR)
		return no(r, WEIR_SQL_OPERATOR, p);
	if (r->name.parts == 1 && !strcmp(p->name, "pg_catalog"))
		return no(r, WEIR_SQL_FIELD, p); /* as in judge_name */
	if ((only_reads(r, &r->name, p) && !is_refused(r, &r->name, p->name)) || is_no_call(r))
		return true;
	r->call.at = p->at;
	r->call.length = p->length;
	r->must_not_call = true; /* the next piece shows */
	return true;
}

static bool begins_no_argument(enum wi_key key)
{
	return key == WI_KEY_SELECT || key == WI_KEY_WITH || key == WI_KEY_TABLE ||
	       key == WI_KEY_WHERE || key == WI_KEY_ORDER;
}

/*
 * A name has ended, and neither a parenthesis nor a dot follows. Tables of pg_catalog are called
 * like its functions: for that they are let pass, nobody may give its name to something else.
 */
static bool judge_name(struct reader *r)
{
	static const char catalog[] = "pg_catalog";
	const struct wi_piece *p = r->last;
	const struct name plain = {.parts = 1};

	if (r->name.parts == 1)
		return p->name[0] != 'p' || strcmp(p->name, catalog) != 0 ||
		       no(r, WEIR_SQL_FIELD, p);
	if (r->name.parts == 2 && !strcmp(r->name.schema, catalog) && !strncmp(p->name, "pg_", 3))
		return true;
	if (wi_name_acts(p->name) || is_refused(r, &plain, p->name))
		return no(r, WEIR_SQL_FIELD, p);
	return true;
}

/* ---- pieces ---- */

static bool locks(const struct reader *r)
{
	enum wi_key key = r->now->key;

	return r->last->key == WI_KEY_FOR && (key == WI_KEY_UPDATE || key == WI_KEY_NO ||
	                                      key == WI_KEY_SHARE || key == WI_KEY_KEY);
}

static bool is_denied(enum wi_key key)
{
	return key >= WI_KEY_INSERT; /* and what follows it in the map */
}

/* A name goes on behind a dot. */
static void lengthen(struct reader *r)
{
	r->name.parts++;
	r->now->key = WI_KEY_NONE; /* any word may be a name there */
}

/* A word or a quoted name. */
static bool take_name(struct reader *r)
{
	if (r->behind_value)
		return no(r, WEIR_SQL_FIELD, r->now);
	if (locks(r))
		return no(r, WEIR_SQL_LOCKS, r->now);
	if (is_denied(r->now->key))
		return no(r, WEIR_SQL_WORD, r->now);
	if (r->behind_dot)
		lengthen(r);
	else
		r->name.parts = 1;
	if (r->now->key == WI_KEY_ON && r->last->key == WI_KEY_DISTINCT)
		r->distinct_on = true;
	r->name.is = true;
	return true;
}

static bool close_one(struct reader *r, uint64_t *open)
{
	if (!*open)
		return no(r, WEIR_SQL_UNBALANCED, r->now);
	--*open;
	return true;
}

static bool take_dot(struct reader *r)
{
	const struct wi_piece *p = r->last;

	if (r->name.is) {
		/* Of a.b.c only that there are three. */
		memcpy(r->name.schema, p->name, sizeof(r->name.schema));
		r->behind_dot = true;
	} else if (p->sign == ')' || p->sign == ']' || p->kind != WI_PIECE_SIGN) {
		r->behind_value = true;
	}
	r->name.is = false;
	return true;
}

static bool take_sign(struct reader *r)
{
	switch (r->now->sign) {
	case '(':
		r->parens++;
		return !r->name.is || judge_call(r);
	case ')':
		return close_one(r, &r->parens);
	case '[':
		r->brackets++;
		return true;
	case ']':
		return close_one(r, &r->brackets);
	default:
		return true;
	}
}

/*
 * AS NOT MATERIALIZED (, GROUP BY ROLLUP ( and WITH RECURSIVE t ( are read as if their middle word
 * were not there.
 */
static bool is_filler(const struct reader *r)
{
	const struct wi_piece *p = r->now;

	switch (r->last->key) {
	case WI_KEY_AS:
		return p->key == WI_KEY_NOT;
	case WI_KEY_GROUP:
		return p->key == WI_KEY_BY;
	case WI_KEY_WITH:
		return p->kind == WI_PIECE_WORD && !strcmp(p->name, "recursive");
	default:
		return false;
	}
}

/* Takes the piece at hand; false: the walk has ended. */
static bool take(struct reader *r)
{
	struct wi_piece *p = r->now;
	bool is_name = p->kind == WI_PIECE_WORD || p->kind == WI_PIECE_QUOTED;

	if (wi_unlikely(r->must_not_call)) {
		if (!begins_no_argument(p->key))
			return no(r, WEIR_SQL_FUNCTION, &r->call);
		r->must_not_call = false;
	}
	if (p->kind == WI_PIECE_BAD)
		return no(r, p->why, p);
	if (r->name.is && p->sign != '(' && p->sign != '.' && !judge_name(r))
		return false;
	if (p->sign == '.')
		return take_dot(r);
	if (is_name) {
		if (!take_name(r))
			return false;
	} else if (p->kind == WI_PIECE_SIGN && !take_sign(r)) {
		return false;
	}
	r->name.is = is_name;
	r->behind_dot = r->behind_value = false;
	return true;
}

static void next(struct reader *r)
{
	struct wi_piece *room = r->before;

	if (!is_filler(r)) {
		r->before = r->last;
		r->last = r->now;
		r->now = room;
	}
	wi_lexer_next(&r->lexer, r->now);
}

/* ---- the statement ---- */

static bool is_query(enum wi_key key)
{
	return key == WI_KEY_SELECT || key == WI_KEY_VALUES || key == WI_KEY_TABLE ||
	       key == WI_KEY_WITH;
}

/* Passes the parentheses that a query may begin with, up to its first word. */
static bool begin_query(struct reader *r)
{
	while (r->now->sign == '(') {
		r->parens++;
		next(r);
	}
	if (r->now->kind == WI_PIECE_BAD)
		return no(r, r->now->why, r->now);
	if (!is_query(r->now->key))
		return no(r, WEIR_SQL_STATEMENT, r->now);
	return true;
}

static bool is_explain_word(const struct wi_piece *p)
{
	static const char *const words[] = {
		"verbose", "costs",  "settings",     "buffers", "wal",  "timing",
		"summary", "memory", "generic_plan", "format",  "text", "json",
		"xml",     "yaml",   "on",           "off",     "true", "false"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (p->kind == WI_PIECE_WORD && !strcmp(p->name, words[i]))
			return true;
	return false;
}

/* EXPLAIN's options, if there are, up to the statement; `(` may be either's. */
static bool begin_explain(struct reader *r)
{
	next(r);
	if (r->now->key == WI_KEY_VERBOSE) {
		next(r);
		return begin_query(r);
	}
	if (r->now->sign != '(')
		return begin_query(r);
	next(r);
	if (r->now->sign == '(' || is_query(r->now->key)) {
		r->parens++;
		return begin_query(r);
	}
	while (r->now->sign == ',' || is_explain_word(r->now))
		next(r);
	if (r->now->sign != ')')
		return no(r, WEIR_SQL_EXPLAIN, r->now);
	next(r);
	return begin_query(r);
}

static bool begin(struct reader *r)
{
	wi_lexer_next(&r->lexer, r->now);
	if (r->now->kind == WI_PIECE_END)
		return no(r, WEIR_SQL_EMPTY, r->now);
	if (r->now->key == WI_KEY_EXPLAIN)
		return begin_explain(r);
	return r->now->key == WI_KEY_SHOW || begin_query(r);
}

/* Behind a semicolon there is nothing more. */
static bool finish(struct reader *r)
{
	while (r->now->sign == ';')
		next(r);
	if (r->now->kind == WI_PIECE_BAD)
		return no(r, r->now->why, r->now);
	return r->now->kind == WI_PIECE_END || no(r, WEIR_SQL_SEVERAL, r->now);
}

static bool reads(struct reader *r)
{
	if (!begin(r))
		return false;
	for (; r->now->kind != WI_PIECE_END && r->now->sign != ';'; next(r))
		if (!take(r))
			return false;
	if (!take(r)) /* what the last piece has left open */
		return false;
	if (r->parens || r->brackets)
		return no(r, WEIR_SQL_UNBALANCED, r->now);
	return finish(r);
}

/* Copies what caller and library both know; false: the caller asks for more. */
static bool load_rules(weir_classify_rules *to, const weir_classify_rules *from)
{
	size_t size = from->size ? from->size : sizeof(*to);

	memset(to, 0, sizeof(*to));
	for (size_t i = sizeof(*to); i < size; i++)
		if (((const unsigned char *)from)[i])
			return false;
	memcpy(to, from, size < sizeof(*to) ? size : sizeof(*to));
	return true;
}

/* All but the pieces' names, which are long, and are not looked at before they are written. */
static void start(struct reader *r, const char *sql, size_t length)
{
	r->lexer = (struct wi_lexer){.sql = sql, .length = sql ? length : 0};
	for (int i = 0; i < 3; i++) {
		r->rooms[i].kind = WI_PIECE_END;
		r->rooms[i].key = WI_KEY_NONE;
		r->rooms[i].sign = 0;
		r->rooms[i].at = r->rooms[i].length = 0;
		r->rooms[i].name[0] = '\0';
	}
	r->now = &r->rooms[0];
	r->last = &r->rooms[1];
	r->before = &r->rooms[2];
	r->name.is = false;
	r->name.parts = 0;
	r->rules = NULL;
	r->parens = r->brackets = 0;
	r->distinct_on = r->behind_value = r->behind_dot = r->must_not_call = false;
}

weir_verdict weir_classify_why(const char *sql, size_t length, const weir_classify_rules *rules)
{
	weir_classify_rules loaded;
	struct reader r;

	start(&r, sql, length);
	if (rules && !load_rules(&loaded, rules)) {
		(void)no(&r, WEIR_SQL_RULES, r.now);
		return r.verdict;
	}
	r.rules = rules ? &loaded : NULL;
	if (reads(&r))
		r.verdict = (weir_verdict){
			.intent = WEIR_READ, .why = WEIR_SQL_READS, .at = 0, .length = length};
	return r.verdict;
}

weir_intent weir_classify(const char *sql, size_t length, const weir_classify_rules *rules)
{
	return weir_classify_why(sql, length, rules).intent;
}

/* ---- words ---- */

const char *weir_sql_why_name(weir_sql_why why)
{
	static const char *const names[] = {
#define NAME(name, text) #name,
		WEIR_SQL_MAP(NAME)
#undef NAME
	};

	return (unsigned)why < WEIR_SQL_WHYS ? names[why] : "UNKNOWN";
}

const char *weir_sql_why_text(weir_sql_why why)
{
	static const char *const texts[] = {
#define TEXT(name, text) text,
		WEIR_SQL_MAP(TEXT)
#undef TEXT
	};

	return (unsigned)why < WEIR_SQL_WHYS ? texts[why]
	                                     : "for a reason that this weir does not know";
}
