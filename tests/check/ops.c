/* SPDX-License-Identifier: BSD-2-Clause */
/* Lanes of operations. */
#include "check/ops.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

struct op *check_op_begin(struct lane *lane, enum op_kind kind)
{
	struct op *op;

	if (lane->n == lane->room) {
		lane->room = lane->room ? lane->room * 2 : 1024;
		lane->ops = realloc(lane->ops, lane->room * sizeof(*lane->ops));
		if (!lane->ops) {
			fprintf(stderr, "no memory for %u operations\n", lane->room);
			exit(EXIT_FAILURE);
		}
	}
	op = &lane->ops[lane->n++];
	*op = (struct op){.kind = (uint8_t)kind, .host = CHECK_NO_HOST, .begun_ns = wi_now_ns()};
	return op;
}

void check_op_end(struct op *op, enum op_outcome outcome)
{
	op->outcome = (uint8_t)outcome;
	if (outcome == OUTCOME_OK)
		op->phase = PHASE_DONE;
	op->ended_ns = wi_now_ns();
}

void check_op_back(struct op *op)
{
	op->back_ns = wi_now_ns();
}

void check_history_free(struct history *history)
{
	for (uint32_t i = 0; i < history->n_lanes; i++)
		free(history->lanes[i].ops);
	free(history->lanes);
	free(history->truth);
	free(history->facts);
	*history = (struct history){0};
}
