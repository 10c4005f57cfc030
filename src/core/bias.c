/* SPDX-License-Identifier: BSD-2-Clause */
/* Revoking and restoring the bias of a core's caches; bias.h tells the idea. */
#include "core/bias.h"

#include "base/clock.h"

/* For a store to leave a processor that nobody can make fence: thousands of times what it takes. */
#define SETTLE_NS (10 * WI_MS)

void wi_bias_init(struct wi_bias *bias, const struct wi_world *world)
{
	bias->world = world;
	atomic_init(&bias->word, world->fence_heavy() ? 0 : WI_BIAS_NEVER);
}

void wi_bias_init_forked(struct wi_bias *bias, const struct wi_world *world)
{
	bias->world = world;
	wi_store_seq(&bias->word, WI_BIAS_FORKED | (world->fence_heavy() ? 0 : WI_BIAS_NEVER));
}

void wi_bias_reopen(struct wi_bias *bias)
{
	/* Sequentially consistent: who sees it open sees all that was made before. */
	wi_and_seq(&bias->word, ~(uint32_t)WI_BIAS_FORKED);
}

static WI_COLD void settle(const struct wi_bias *bias)
{
	_Atomic uint32_t nothing = 0;
	int64_t until_ns = bias->world->now() + SETTLE_NS;

	while (bias->world->now() < until_ns)
		bias->world->park(&nothing, 0, until_ns);
}

/*
 * The heavy fence was there when the core was made, and is gone: a filter on system calls was put
 * up since. As the bias is held, owners exchange in every operation that they begin from now on.
 * What they had begun before is given the time to become visible, and only then others are told to
 * rely on it. These are the two places where weir trusts a time.
 */
static WI_COLD void lose_bias(struct wi_bias *bias)
{
	settle(bias);
	wi_or_seq(&bias->word, WI_BIAS_NEVER);
}

void wi_bias_revoke(struct wi_bias *bias)
{
	uint32_t old = wi_add_seq(&bias->word, WI_BIAS_HOLD);

	WI_YIELD("bias.revoke.held");
	if (old & (WI_BIAS_FENCED | WI_BIAS_NEVER))
		return;
	if (bias->world->fence_heavy()) {
		WI_YIELD("bias.revoke.fenced");
		wi_or_seq(&bias->word, WI_BIAS_FENCED);
	} else {
		lose_bias(bias);
	}
}

void wi_bias_fence(struct wi_bias *bias)
{
	/*
	 * Where there is none, every operation that has begun since NEVER is a full fence itself.
	 */
	if (bias->world->fence_heavy() || (wi_load_seq(&bias->word) & WI_BIAS_NEVER))
		return;
	wi_add_seq(&bias->word, WI_BIAS_HOLD);
	lose_bias(bias);
	settle(bias); /* those that began between the two */
	wi_bias_release(bias);
}

void wi_bias_release(struct wi_bias *bias)
{
	wi_sub_seq(&bias->word, WI_BIAS_HOLD);
}

void wi_bias_restore(struct wi_bias *bias)
{
	uint32_t lingering = WI_BIAS_FENCED;

	if (wi_load_rlx(&bias->word) != lingering)
		return;
	/* [bias:R1] pairs with A1; sequentially consistent like every other change of the word. */
	wi_cas_seq(&bias->word, &lingering, 0);
}

void wi_bias_suspend(struct wi_bias *bias, bool suspended)
{
	if (suspended)
		wi_or_seq(&bias->word, WI_BIAS_SUSPENDED);
	else
		wi_and_seq(&bias->word, ~(uint32_t)WI_BIAS_SUSPENDED);
}

void wi_bias_end(struct wi_bias *bias, uint32_t reason)
{
	wi_or_seq(&bias->word, reason);
}
