/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What clients of a cluster did and saw, written down operation by operation; what the cluster
 * holds in the end; and what was done to it meanwhile. The rules (rules.h) judge nothing else.
 *
 * A register is a row with a version that every write raises by one. Each write has a value of its
 * own, and leaves a row (register, version, value) in a log, in the same transaction: the log, read
 * in the end, is the truth. The bank is a table of accounts whose sum never changes.
 *
 * Each client writes a lane of its own. An operation happens at some moment between `begun` and
 * `ended`, by the monotonic clock of this process.
 */
#ifndef WEIR_CHECK_OPS_H
#define WEIR_CHECK_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

#define CHECK_REGISTERS 16
#define CHECK_NO_HOST 255
#define CHECK_ROUTERS 2

enum op_kind {
	OP_WRITE,    /* raises a register's version and gives it a value of its own */
	OP_TRANSFER, /* from one account to another */
	OP_LOCK,     /* reads a register by a transaction that commits: nothing may be newer */
	OP_READ,     /* reads a register, as old as `level` allows */
	OP_BANK,     /* sums up all accounts in one snapshot, as old as `level` allows */
};

/* What a read has asked for. */
enum op_level { LEVEL_ANY, LEVEL_LAG, LEVEL_TOKEN, LEVEL_SESSION };

enum op_outcome {
	OUTCOME_FAILED,  /* for sure: what it would have written was not written */
	OUTCOME_OK,      /* acknowledged */
	OUTCOME_UNKNOWN, /* the connection was lost where a commit may have been under way */
};

/* How far an operation came. */
enum op_phase { PHASE_CHECKOUT, PHASE_WORK, PHASE_COMMIT, PHASE_DONE };

struct op {
	int64_t begun_ns, ended_ns;
	int64_t had_ns;     /* when it had its connection; 0: never */
	int64_t back_ns;    /* when that had been given back */
	uint64_t value;     /* of a write: its own; of a read: what it saw */
	uint64_t wants;     /* with LEVEL_TOKEN: the value of the write that the token is of */
	int64_t version;    /* as the server said; 0: it did not */
	int64_t max_lag_ns; /* with LEVEL_LAG */
	int64_t total;      /* of the bank */
	uint32_t session;   /* operations of one lane with the same number are a session; 0: none */
	int32_t backend;    /* the server's process; 0: none */
	uint8_t reg;
	uint8_t host;   /* which server it was done by; CHECK_NO_HOST: none */
	uint8_t router; /* which of them it was asked of */
	uint8_t kind, level, target, outcome, phase, role, reason, status;
	char sqlstate[6]; /* the last error's; "" */
};

struct lane {
	struct op *ops;
	uint32_t n, room;
};

/* A new operation, begun now. A lane that cannot grow ends the process. */
struct op *check_op_begin(struct lane *lane, enum op_kind kind);
/* It ends, now. */
void check_op_end(struct op *op, enum op_outcome outcome);
/* Its connection has been given back, now. */
void check_op_back(struct op *op);

/* A row of the log. */
struct truth {
	uint64_t value;
	int64_t version;
	uint8_t reg;
};

/* What a server was, from one moment to another, as who did it to it knows. */
enum fact_kind {
	/* no standby follows it any more, and another was promoted: what it takes is lost */
	FACT_FENCED,
	/* its transactions are read-only by default, though it is the primary */
	FACT_READ_ONLY,
	/* the routers were told to do without it */
	FACT_AWAY,
};

struct fact {
	enum fact_kind kind;
	uint8_t host;
	int64_t from_ns, to_ns;
};

struct history {
	int64_t begun_ns; /* words about moments count from here */
	struct lane *lanes;
	uint32_t n_lanes;
	struct truth *truth;
	uint32_t n_truth;
	struct fact *facts;
	uint32_t n_facts;
	int64_t total; /* of all accounts, at any time */
};

void check_history_free(struct history *history);

#endif
