/* SPDX-License-Identifier: BSD-2-Clause */
/* Pins in shared mode, and waiting for those of others; pin.h tells the idea. */
#include "core/pin.h"

#include "base/clock.h"

/* Between two looks at a thread that is inside: it is about to leave, or has lost its processor. */
#define LOOK_AGAIN_NS (WI_MS / 20)

bool wi_pin_shared(const struct wi_bias *bias, struct wi_seat *mine)
{
	uint32_t word = wi_load_seq(&bias->word);

	if (wi_unlikely(word & WI_BIAS_NEVER)) {
		wi_swap_seq(&mine->pin, (wi_load_rlx(&mine->pin) & ~3u) + WI_PIN_PINNED);
		word = wi_load_seq(&bias->word);
	}
	return !(word & (WI_BIAS_CLOSED | WI_BIAS_FORKED | WI_BIAS_SUSPENDED));
}

/* false: the deadline came first. */
static bool await(const struct wi_bias *bias, const struct wi_seat *seat, int64_t deadline_ns)
{
	_Atomic uint32_t nothing = 0;
	/* [pin:A1] sees what the operation did, once the pin has moved on; pairs with R1 R2 R3. */
	uint32_t before = wi_load_acq(&seat->pin);

	if (wi_pin_is(before) == WI_PIN_OUT)
		return true;
	/* Only the count tells: within one operation TAKING becomes PINNED. */
	while ((wi_load_acq(&seat->pin) ^ before) < WI_PIN_STEP) {
		int64_t now_ns = bias->world->now();

		if (now_ns >= deadline_ns)
			return false;
		bias->world->park(&nothing, 0, now_ns + LOOK_AGAIN_NS);
	}
	return true;
}

bool wi_pins_await_until(struct wi_bias *bias, struct wi_seats *seats, int64_t deadline_ns)
{
	struct wi_segment *g;
	bool all = true;

	wi_bias_fence(bias);
	for (uint32_t i = 0; (g = wi_segment_at(seats, i)); i++)
		for (uint32_t b = 0; b < WI_SEATS_A_SEGMENT; b++)
			all = await(bias, &g->seat[b], deadline_ns) && all;
	return all;
}

void wi_pins_await(struct wi_bias *bias, struct wi_seats *seats)
{
	(void)wi_pins_await_until(bias, seats, WI_FOREVER);
}
