/* SPDX-License-Identifier: BSD-2-Clause */
/* Telling the host program what happened. */
#ifndef WI_STAT_EVENT_H
#define WI_STAT_EVENT_H

#include <stdint.h>

#include <weir/event.h>
#include <weir/options.h>

#include "stat/ring.h"

/*
 * Remembers an event with a formatted text, which is made one clean line, and tells it to
 * options->on_event, if there is one. host may be NULL. The arguments must hold no secret. Any
 * thread; blocks only as long as the sink does.
 */
void wi_event_tell(struct wi_ring *ring, const weir_options *options, int64_t at_ns,
                   weir_event_kind kind, const char *host, const char *format, ...)
	WEIR_PRINTF(6, 7);

/* Only remembers it, and gives it its number. Any thread; never blocks. */
void wi_event_note(struct wi_ring *ring, weir_event *event);

/* What a kind of event means, in a sentence. Never NULL. */
const char *wi_event_text(weir_event_kind kind);

#endif
