/* SPDX-License-Identifier: BSD-2-Clause */
/* Sorting, and looking up by halving. */
#include "check/book.h"

#include <stdio.h>
#include <stdlib.h>

static void *array(size_t n, size_t size)
{
	void *memory = calloc(n ? n : 1, size);

	if (!memory) {
		fprintf(stderr, "no memory for %zu rows\n", n);
		exit(EXIT_FAILURE);
	}
	return memory;
}

static int by_value(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->value > y->value) - (x->value < y->value);
}

static int by_version(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->reg != y->reg)
		return x->reg < y->reg ? -1 : 1;
	return (x->version > y->version) - (x->version < y->version);
}

static int by_end(const void *a, const void *b)
{
	const struct acknowledged *x = a, *y = b;

	return (x->ended_ns > y->ended_ns) - (x->ended_ns < y->ended_ns);
}

const struct entry *check_entry(const struct book *book, uint64_t value)
{
	const struct entry wanted = {.value = value};

	return bsearch(&wanted, book->by_value, book->n, sizeof(wanted), by_value);
}

static void add_operations(struct book *b)
{
	const struct history *h = b->history;

	for (uint32_t i = 0; i < h->n_lanes; i++) {
		for (uint32_t k = 0; k < h->lanes[i].n; k++) {
			const struct op *op = &h->lanes[i].ops[k];
			struct entry wanted = {.value = op->value}, *found;

			if (op->kind != OP_WRITE)
				continue;
			found = bsearch(&wanted, b->by_value, b->n, sizeof(wanted), by_value);
			if (found)
				found->op = op;
		}
	}
}

/* Per register, in the order of their ends, with the highest version so far. */
static void sort_acknowledged(struct book *b)
{
	uint32_t n = 0;

	for (uint8_t reg = 0; reg < CHECK_REGISTERS; reg++) {
		int64_t highest = 0;

		b->first_acknowledged[reg] = n;
		for (uint32_t i = b->first[reg]; i < b->first[reg + 1]; i++) {
			const struct entry *e = &b->by_version[i];

			if (e->op && e->op->outcome == OUTCOME_OK)
				b->acknowledged[n++] =
					(struct acknowledged){e->op->ended_ns, e->version};
		}
		qsort(b->acknowledged + b->first_acknowledged[reg], n - b->first_acknowledged[reg],
		      sizeof(*b->acknowledged), by_end);
		for (uint32_t i = b->first_acknowledged[reg]; i < n; i++) {
			if (b->acknowledged[i].highest > highest)
				highest = b->acknowledged[i].highest;
			b->acknowledged[i].highest = highest;
		}
	}
	b->first_acknowledged[CHECK_REGISTERS] = n;
}

void check_book_init(struct book *b, const struct history *h)
{
	uint32_t reg = 0;

	*b = (struct book){.history = h, .n = h->n_truth};
	b->by_value = array(b->n, sizeof(*b->by_value));
	b->by_version = array(b->n, sizeof(*b->by_version));
	b->acknowledged = array(b->n, sizeof(*b->acknowledged));
	for (uint32_t i = 0; i < b->n; i++) {
		const struct truth *t = &h->truth[i];

		b->by_value[i] = (struct entry){t->value, t->version, t->reg, NULL};
	}
	qsort(b->by_value, b->n, sizeof(*b->by_value), by_value);
	add_operations(b);
	for (uint32_t i = 0; i < b->n; i++)
		b->by_version[i] = b->by_value[i];
	qsort(b->by_version, b->n, sizeof(*b->by_version), by_version);
	for (uint32_t i = 0; i < b->n; i++)
		while (reg <= b->by_version[i].reg)
			b->first[reg++] = i;
	while (reg <= CHECK_REGISTERS)
		b->first[reg++] = b->n;
	sort_acknowledged(b);
}

void check_book_fini(struct book *b)
{
	free(b->by_value);
	free(b->by_version);
	free(b->acknowledged);
	*b = (struct book){0};
}

int64_t check_acknowledged_before(const struct book *b, uint8_t reg, int64_t at_ns)
{
	uint32_t low = b->first_acknowledged[reg], high = b->first_acknowledged[reg + 1];

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (b->acknowledged[middle].ended_ns < at_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low == b->first_acknowledged[reg] ? 0 : b->acknowledged[low - 1].highest;
}
