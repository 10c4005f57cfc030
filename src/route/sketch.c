/* SPDX-License-Identifier: BSD-2-Clause */
/* The picture of a router: its hosts, and who holds and waits for what in all of their pools. */
#include "base/atomic.h"
#include "pool/tend.h"
#include "route/router.h"

static void draw(void *arg, struct wi_sheet *sheet)
{
	weir_router *r = arg;
	struct wi_view_picture *head = &sheet->head;
	int64_t lost_ns = wi_load_rlx(&r->lost_ns);
	uint32_t place = 0;
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_places_next(r, &i));) {
		weir_host_stats stats;

		wi_tend_glance(h->pool, sheet->now_ns);
		wi_host_read(r, h, &stats);
		wi_sheet_host(sheet, &stats);
	}
	for (uint32_t i = 0; (h = wi_places_next(r, &i));)
		wi_sheet_holders(sheet, h->pool, place++);
	place = 0;
	for (uint32_t i = 0; (h = wi_places_next(r, &i));)
		wi_sheet_waiters(sheet, h->pool, place++);
	wi_sheet_events(sheet, &r->ring);
	head->at_gate = wi_load_rlx(&r->gate.sleepers);
	head->no_primary_ns = lost_ns && lost_ns <= sheet->now_ns ? sheet->now_ns - lost_ns : -1;
	head->flags = (wi_load_rlx(&r->closed) ? WI_VIEW_CLOSING : 0) |
	              (wi_load_rlx(&r->desk.suspended) ? WI_VIEW_SUSPENDED : 0) |
	              (wi_load_rlx(&r->topology)->split ? WI_VIEW_SPLIT : 0);
}

weir_status wi_router_show(weir_router *r, weir_error *error)
{
	r->sketch.draw = draw;
	r->sketch.arg = r;
	return wi_sketch_begin(&r->sketch, r->keeper, r->world, &r->options, true, error);
}
