/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must be true of every history of clients of a cluster, whatever was done to it. A pure
 * function of what was written down (ops.h); rules_test.c has a bad history for each rule.
 *
 * A rule calls wrong only what is wrong at whichever moments the operations happened. What failed
 * for sure may fail for any reason: how much may fail is not judged here.
 */
#ifndef WEIR_CHECK_RULES_H
#define WEIR_CHECK_RULES_H

#include <stdint.h>

#include "check/ops.h"

#define CHECK_RULE_MAP(X)                                                                          \
	X(LOST_WRITE, "a write that was acknowledged is in the log in the end")                    \
	X(GHOST_WRITE, "what is in the log was written by one who did not fail for sure")          \
	X(ONE_HISTORY, "versions of a register are 1, 2, 3...; an acknowledged one is the log's")  \
	X(REAL_TIME, "a write that began after another was acknowledged has the higher version")   \
	X(LOCKED_READ, "a read that commits sees all that was acknowledged before it began")       \
	X(TRUE_READ, "a read sees a version as the log has it, and none that began after its end") \
	X(OWN_WRITES, "a read with a token sees the write that the token was taken after")         \
	X(SESSION, "within a session nothing gets older than what was seen or written in it")      \
	X(STALENESS, "a read with a limit of lag sees what was acknowledged so long before it")    \
	X(BANK, "the bank's total is the same in every snapshot")                                  \
	X(OUTCOME, "an outcome is unknown only where the connection was lost in COMMIT")           \
	X(FENCED, "a server that was left behind acknowledges no write")                           \
	X(ROLE,                                                                                    \
	  "a write is given the primary, no standby takes one; a read is given whom it asked for") \
	X(REFUSED, "once a refusal by a read-only server is given back, no write is sent there")   \
	X(REFUSED_ONCE, "a connection refuses writes to its users at most once a demotion")        \
	X(AWAY, "who comes after a host was removed gets no connection of it")                     \
	X(COMES_BACK, "writes are acknowledged again soon after all is well")

enum check_rule {
#define CHECK_RULE_ENUM(name, text) RULE_##name,
	CHECK_RULE_MAP(CHECK_RULE_ENUM)
#undef CHECK_RULE_ENUM
		CHECK_RULES
};

const char *check_rule_name(enum check_rule rule);
const char *check_rule_text(enum check_rule rule);

#define CHECK_WORDS_MAX 24

/* What was found: how often each rule was broken, and how often it had something to judge. */
struct findings {
	uint64_t broken[CHECK_RULES];
	uint64_t judged[CHECK_RULES];
	uint32_t n_words;
	/* the first three of each rule, as far as there is room */
	char words[CHECK_WORDS_MAX][256];
};

void check_found(struct findings *findings, enum check_rule rule, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Judges by all rules but COMES_BACK, which whoever waits for it judges. Zero findings first. */
void check_rules(const struct history *history, struct findings *findings);

uint64_t check_broken(const struct findings *findings);

#endif
