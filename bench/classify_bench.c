/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what does weir_classify cost, by the length of the text? Beside it what nobody can do
 * without: to look at each byte once.
 *
 *	sql.classify/read      texts of 8, 45 and 351 bytes, and one of 100 kB
 *	baseline.bytes/sum     the same texts, all bytes added up
 */
#include <stdlib.h>
#include <string.h>

#include <weir/classify.h>

#include "harness/bench.h"

static const char short_text[] = "SELECT 1";
static const char usual_text[] = "SELECT name, price FROM items WHERE id = $1 ;";
static const char long_text[] =
	"SELECT o.id, o.placed_at, c.name, sum(i.price * i.quantity) AS total, count(*) "
	"FROM orders AS o JOIN customers AS c ON (c.id = o.customer) LEFT JOIN items AS i "
	"ON (i.order_id = o.id AND i.state <> 'void') WHERE o.placed_at >= $1 AND o.region IN "
	"('northeast', 'south') GROUP BY o.id, o.placed_at, c.name HAVING sum(i.price) > 100.50 ORDER "
	"BY total DESC";

struct text {
	size_t length;
	char *bytes;
};

/* The long one again and again, as one statement: UNION ALL between them. */
static void repeat(struct text *t, size_t length)
{
	static const char between[] = " UNION ALL ";

	while (t->length + sizeof(long_text) + sizeof(between) < length) {
		memcpy(t->bytes + t->length, long_text, sizeof(long_text) - 1);
		t->length += sizeof(long_text) - 1;
		memcpy(t->bytes + t->length, between, sizeof(between) - 1);
		t->length += sizeof(between) - 1;
	}
	memcpy(t->bytes + t->length, short_text, sizeof(short_text) - 1);
	t->length += sizeof(short_text) - 1;
}

static void make_text(struct bench *b)
{
	struct text *t = calloc(1, sizeof(*t) + 128 * 1024);
	const char *from = b->arg[0] == 8 ? short_text : b->arg[0] == 45 ? usual_text : long_text;

	if (!t) {
		bench_skip(b, "no memory");
		return;
	}
	t->bytes = (char *)(t + 1);
	if (b->arg[0] > 1000)
		repeat(t, (size_t)b->arg[0]);
	else
		memcpy(t->bytes, from, t->length = strlen(from));
	if (weir_classify(t->bytes, t->length, NULL) != WEIR_READ)
		bench_skip(b, "a text that is to be measured is no read");
	bench_share(b, t);
}

static void free_text(struct bench *b)
{
	free(bench_shared(b));
}

static void classify(struct bench *b)
{
	const struct text *t = bench_shared(b);

	while (bench_keep_running(b)) {
		weir_intent intent = weir_classify(t->bytes, t->length, NULL);

		bench_keep(intent);
	}
}

static void sum(struct bench *b)
{
	const struct text *t = bench_shared(b);

	while (bench_keep_running(b)) {
		unsigned all = 0;

		for (size_t i = 0; i < t->length; i++) {
			all += (unsigned char)t->bytes[i];
			bench_keep(all);
		}
	}
}

void bench_cases(void)
{
	const struct bench_case cases[] = {{.name = "sql.classify/read", .body = classify},
	                                   {.name = "baseline.bytes/sum", .body = sum}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench_case c = cases[i];

		c.before = make_text;
		c.after = free_text;
		c.arg_name[0] = "bytes";
		c.rows = 4;
		c.row[0][0] = 8;
		c.row[1][0] = 45;
		c.row[2][0] = 351;
		c.row[3][0] = 100000;
		bench_register(&c);
	}
}
