/* SPDX-License-Identifier: BSD-2-Clause */
/* From the bytes of a place to what is shown, whatever the bytes say. */
#ifndef WI_VIEW_DECODE_H
#define WI_VIEW_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/view.h>

#include "view/format.h"

/* What a place holds, by value; the arrays are its own. Zeroed: nothing. */
struct wi_decoded {
	struct wi_view_picture head; /* what a shorter one lacks is 0 */
	weir_host_stats *hosts;
	weir_view_holder *holders;
	weir_view_waiter *waiters;
	weir_event_record *events;
	size_t n_hosts, n_holders, n_waiters, n_events;
};

enum wi_decode { WI_DECODE_OK, WI_DECODE_TORN, WI_DECODE_NO_MEMORY };

/* The head of a picture; false: its numbers cannot be right. size: bytes that are there. */
bool wi_decode_head(const void *bytes, size_t size, struct wi_view_picture *head);

/* All of it. Times are those of the picture. wi_decoded_fini in any case. */
enum wi_decode wi_decode(const void *bytes, size_t size, struct wi_decoded *to);

void wi_decoded_fini(struct wi_decoded *decoded);

#endif
