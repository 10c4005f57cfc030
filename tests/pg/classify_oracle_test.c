/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PostgreSQL's own parser (libpg_query) looks at whatever weir_classify calls a read: it has to be
 * one statement of a kind that reads, without INTO, locks, or another statement in it, and each
 * function must be one that weir knows.
 *
 * The parser runs in a child process, since a deep tree makes it overflow its stack; the child is
 * then begun again behind that statement. TEST_ROUNDS (20000) and TEST_SEED set how many and which.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef HAVE_PG_QUERY
#include <jansson.h>
#include <pg_query.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/classify.h>

#include "sql/names.h"
#include "support/sql_maker.h"
#include "support/statements.h"

/* What the child tells its parent, in memory that both see. */
struct report {
	size_t i; /* at which statement it is */
	size_t reads, of_whole, made;
	bool wrong;
	char why[256];
	struct sql sql;
};

static struct report *report;

/* Of the tree at hand: a column of something called pg_catalog, and that something is called so. */
static bool catalog_column, catalog_named;

static bool complain(const char *why, const char *what)
{
	if (!report->wrong)
		snprintf(report->why, sizeof(report->why), "%s %s", why, what);
	report->wrong = true;
	return false;
}

/* The text of the n-th of a list of names: [{"String": {"str": "x"}}]. */
static const char *name_at(json_t *list, size_t n)
{
	json_t *text = json_object_get(json_array_get(list, n), "String");
	json_t *value = json_object_get(text, "sval");

	return json_string_value(value ? value : json_object_get(text, "str"));
}

static bool check_call(json_t *call)
{
	json_t *names = json_object_get(call, "funcname");
	size_t n = json_array_size(names);
	const char *last = n ? name_at(names, n - 1) : NULL;

	if (!last || n > 2)
		return complain("a function with a strange name", "");
	if (n == 2 && strcmp(name_at(names, 0), "pg_catalog") != 0)
		return complain("a function of another schema:", last);
	return wi_name_find(last) == WI_NAME_READS || complain("an unknown function:", last);
}

static bool check_column(json_t *column)
{
	json_t *fields = json_object_get(column, "fields");
	size_t n = json_array_size(fields);
	const char *last = n > 1 ? name_at(fields, n - 1) : NULL;

	if (n == 2 && last && !strcmp(name_at(fields, 0), "pg_catalog")) {
		catalog_column = true; /* no column of anything, unless something is called so */
		return true;
	}
	return !last || !wi_name_acts(last) || complain("a field that acts:", last);
}

static bool check_indirection(json_t *node)
{
	json_t *list = json_object_get(node, "indirection"), *one;
	size_t i;

	json_array_foreach(list, i, one) if (json_object_get(one, "String")) return complain(
		"a field of an expression:", name_at(list, i));
	return true;
}

static bool check_operator(json_t *node)
{
	return json_array_size(json_object_get(node, "name")) < 2 ||
	       complain("an operator with its schema", "");
}

static bool check_sample(json_t *node)
{
	json_t *names = json_object_get(node, "method");
	const char *name = name_at(names, 0);

	return (json_array_size(names) == 1 && name &&
	        (!strcmp(name, "system") || !strcmp(name, "bernoulli"))) ||
	       complain("a sample by another method", "");
}

static bool check_explain(json_t *node)
{
	json_t *options = json_object_get(node, "options"), *one;
	size_t i;

	json_array_foreach(options, i, one)
	{
		const char *name = json_string_value(
			json_object_get(json_object_get(one, "DefElem"), "defname"));

		if (name && (!strcasecmp(name, "analyze") || !strcasecmp(name, "analyse")))
			return complain("an EXPLAIN that runs", "");
	}
	return true;
}

/* A member of a node, by its name. */
static bool check_member(const char *name, json_t *node)
{
	size_t n = strlen(name);

	if (!strcmp(name, "aliasname") || !strcmp(name, "relname") || !strcmp(name, "ctename"))
		catalog_named |= !strcmp(json_string_value(node), "pg_catalog");
	if (!strcmp(name, "intoClause") || !strcmp(name, "lockingClause"))
		return complain("there is", name);
	if (!strcmp(name, "FuncCall"))
		return check_call(node);
	if (!strcmp(name, "ColumnRef"))
		return check_column(node);
	if (!strcmp(name, "A_Indirection"))
		return check_indirection(node);
	if (!strcmp(name, "A_Expr"))
		return check_operator(node);
	if (!strcmp(name, "RangeTableSample"))
		return check_sample(node);
	if (!strcmp(name, "ExplainStmt"))
		return check_explain(node);
	if (n > 4 && !strcmp(name + n - 4, "Stmt") && strcmp(name, "SelectStmt") != 0 &&
	    strcmp(name, "VariableShowStmt") != 0 && strcmp(name, "RawStmt") != 0)
		return complain("a statement of another kind:", name);
	return true;
}

/* The parser's JSON is no deeper than jansson reads. */
static void walk(json_t *node)
{
	const char *name;
	json_t *value;
	size_t i;

	if (json_is_array(node)) {
		json_array_foreach(node, i, value) walk(value);
	} else if (json_is_object(node)) {
		json_object_foreach(node, name, value)
		{
			if (check_member(name, value))
				walk(value);
		}
	}
}

/* What the parser says of a text that weir calls a read. */
static void consult(const struct sql *sql, bool whole)
{
	char text[SQL_ROOM + 1];
	PgQueryParseResult result;
	json_t *tree;

	memcpy(text, sql->text, sql->length);
	text[sql->length] = '\0';
	result = pg_query_parse(text);
	if (result.error) {
		if (whole)
			(void)complain("it does not parse:", result.error->message);
	} else {
		tree = json_loads(result.parse_tree, 0, NULL);
		if (tree && json_array_size(json_object_get(tree, "stmts")) != 1)
			(void)complain("it is not one statement", "");
		catalog_column = catalog_named = false;
		walk(tree);
		if (catalog_column && catalog_named)
			(void)complain("a field of what is called pg_catalog", "");
		json_decref(tree);
	}
	pg_query_free_parse_result(result);
}

static void look_at(struct wi_rng *rng)
{
	bool whole;

	sql_nth(rng, report->i, &report->sql, &whole);
	report->made += whole;
	if (weir_classify(report->sql.text, report->sql.length, NULL) != WEIR_READ)
		return;
	report->reads++;
	report->of_whole += whole;
	consult(&report->sql, whole);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* Each statement has a seed of its own, so that a child can begin anywhere. */
static void child(size_t rounds, uint64_t seed)
{
	for (; report->i < rounds && !report->wrong; report->i++) {
		struct wi_rng rng;

		wi_rng_seed(&rng, seed + report->i * UINT64_C(0x9e3779b97f4a7c15));
		look_at(&rng);
	}
}

static bool in_child(size_t rounds, uint64_t seed)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		alarm(240);
		child(rounds, seed);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void the_parser_agrees_with_every_read(void **state)
{
	size_t rounds = number_of("TEST_ROUNDS", 20000), crashes = 0;
	uint64_t seed = number_of("TEST_SEED", 1);

	(void)state;
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	assert_true(report != MAP_FAILED);
	while (!in_child(rounds, seed)) {
		print_message("the parser did not survive statement %zu\n", report->i);
		assert_true(++crashes < 20);
		report->i++;
	}
	if (report->wrong)
		fail_msg("weir calls this a read: %s\n%.*s", report->why, (int)report->sql.length,
		         report->sql.text);
	print_message("%zu statements, %zu reads, %zu of %zu whole ones\n", rounds, report->reads,
	              report->of_whole, report->made);
	/* Else nothing was shown. */
	assert_true(report->reads > rounds / 5);
	munmap(report, sizeof(*report));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parser_agrees_with_every_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
	puts("skipped: built without libpg_query (Debian: libpg-query-dev)");
	return 77;
}

#endif
