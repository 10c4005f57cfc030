/* SPDX-License-Identifier: BSD-2-Clause */
/* A history put in order, so that rules find what they ask for. */
#ifndef WEIR_CHECK_BOOK_H
#define WEIR_CHECK_BOOK_H

#include "check/ops.h"

/* A row of the log, and the operation that wrote it, if any says so. */
struct entry {
	uint64_t value;
	int64_t version;
	uint8_t reg;
	const struct op *op;
};

/* Until `ended_ns` at the latest, versions up to `highest` were acknowledged. */
struct acknowledged {
	int64_t ended_ns;
	int64_t highest;
};

struct book {
	const struct history *history;
	struct entry *by_value; /* all rows */
	struct entry *by_version;
	uint32_t n;
	uint32_t first[CHECK_REGISTERS + 1]; /* of each register, in by_version */
	struct acknowledged *acknowledged;
	uint32_t first_acknowledged[CHECK_REGISTERS + 1];
};

/* No memory ends the process. */
void check_book_init(struct book *book, const struct history *history);
void check_book_fini(struct book *book);

/* The row with this value, or NULL. */
const struct entry *check_entry(const struct book *book, uint64_t value);

/* The highest version of a register that was acknowledged before this moment; 0: none. */
int64_t check_acknowledged_before(const struct book *book, uint8_t reg, int64_t at_ns);

#endif
