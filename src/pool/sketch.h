/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The picture that a keeper draws of its pool, or a router's of all its hosts, for who looks from
 * outside (view/drawing.h): another of the keeper's jobs.
 */
#ifndef WI_POOL_SKETCH_H
#define WI_POOL_SKETCH_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/options.h>
#include <weir/stats.h>

#include "pool/keeper.h"
#include "view/drawing.h"

struct weir_pool;

/* A picture under way: all hosts, then all holders, all waiters, the events. Keeper's thread. */
struct wi_sheet {
	struct wi_pen pen;
	struct wi_view_picture head;
	int64_t now_ns;
	uint32_t holders_a_pool; /* have room */
};

/* Zeroed: nothing is drawn. Keeper's thread, once there is one. */
struct wi_sketch {
	struct wi_drawing drawing;
	struct wi_job job;
	const struct wi_world *world;
	void (*draw)(void *arg, struct wi_sheet *sheet);
	void *arg;
	int64_t due_ns;
};

/*
 * Begins to draw as options->view says, as a job of this keeper, which does not run yet. What was
 * begun in a parent process is left to that. Nothing is drawn of a simulated world: its clock is
 * nobody else's. OK or INVALID. wi_sketch_end in any case.
 */
weir_status wi_sketch_begin(struct wi_sketch *sketch, struct wi_keeper *keeper,
                            const struct wi_world *world, const weir_options *options,
                            bool is_router, weir_error *error);

/* The keeper has ended, or never began. */
void wi_sketch_end(struct wi_sketch *sketch);

/* The next host, and what is out of its pool, and who waits there; host: its place, from 0. */
void wi_sheet_host(struct wi_sheet *sheet, const weir_host_stats *host);
void wi_sheet_holders(struct wi_sheet *sheet, struct weir_pool *pool, uint32_t host);
void wi_sheet_waiters(struct wi_sheet *sheet, struct weir_pool *pool, uint32_t host);

/* The last events. */
struct wi_ring;
void wi_sheet_events(struct wi_sheet *sheet, struct wi_ring *ring);

/* As draw, for a pool without a router; arg is the pool. */
void wi_sketch_draw_pool(void *arg, struct wi_sheet *sheet);

#endif
