/* SPDX-License-Identifier: BSD-2-Clause */
/* Telling the host program what happened. */
#ifndef WI_STAT_EVENT_H
#define WI_STAT_EVENT_H

#include <stdint.h>

#include <weir/event.h>
#include <weir/options.h>

/*
 * Tells options->on_event, if there is one, of an event with a formatted text, which is made one
 * clean line. host may be NULL. The arguments must hold no secret. Blocks only as long as the sink
 * does.
 */
void wi_event_tell(const weir_options *options, int64_t at_ns, weir_event_kind kind,
                   const char *host, const char *format, ...) WEIR_PRINTF(5, 6);

/* What a kind of event means, in a sentence. Never NULL. */
const char *wi_event_text(weir_event_kind kind);

#endif
