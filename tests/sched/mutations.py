# SPDX-License-Identifier: BSD-2-Clause
"""
What is taken out of the real code, one thing at a time, to see that a scenario of the scheduler notices: each fence,
each second look, the tag, each order that matters. A row: what it takes away; the file; its text there, which has to
occur exactly once; what stands there instead; the test that is asked first.
"""

TABLE = [
    # ---- cache.h: owner against thief ----
    ("take: no light fence between pin and look", "core/cache.h", """\
	wi_store_rlx(&mine->pin, pin + WI_PIN_TAKING);
	wi_fence_light();
""", """\
	wi_store_rlx(&mine->pin, pin + WI_PIN_TAKING);
""", "cache"),
    ("take: the pin does not say TAKING", "core/cache.h", """\
	wi_store_rlx(&mine->pin, pin + WI_PIN_TAKING);
""", """\
	wi_store_rlx(&mine->pin, pin);
""", "cache"),
    ("take: no look at the bias", "core/cache.h", """\
	if (!wi_bias_is_whole(bias))
		return WI_SLOT_NONE;
	slot =""", """\
	(void)bias;
	slot =""", "cache"),
    ("take: the pin goes before the slot is out", "core/cache.h", """\
	wi_store_rlx(&mine->cached, WI_SLOT_NONE);
	/* [pin:R2] the slot is out of the cache; pairs with A1 A2. */
	wi_store_rel(&mine->pin, pin + WI_PIN_STEP);
""", """\
	wi_store_rel(&mine->pin, pin + WI_PIN_STEP);
	wi_store_rlx(&mine->cached, WI_SLOT_NONE);
""", "cache"),
    ("shared take: no exchange", "core/cache.h", """\
	/* [cache:A1] sees what the last holder wrote, if another thread's; pairs with R1 R2. */
	return wi_swap_seq(&mine->cached, WI_SLOT_NONE);
""", """\
	uint32_t slot = wi_load_seq(&mine->cached);
	wi_store_seq(&mine->cached, WI_SLOT_NONE);
	return slot;
""", "cache"),
    ("put: no light fence between store and look", "core/cache.h", """\
	wi_store_rel(&mine->cached, slot);
	wi_fence_light();
""", """\
	wi_store_rel(&mine->cached, slot);
""", "queue"),
    ("put: no second look at the bias", "core/cache.h", """\
	WI_YIELD("cache.put.cached");
	return wi_bias_is_whole(bias);
""", """\
	(void)bias;
	return true;
""", "queue"),
    ("put: does not publish what the holder wrote", "core/cache.h", """\
	wi_store_rel(&mine->cached, slot);
""", """\
	wi_store_rlx(&mine->cached, slot);
""", "cache"),
    ("shared put: a store, not a full fence", "core/cache.h", """\
	(void)wi_swap_seq(&mine->cached, slot);
""", """\
	wi_store_rel(&mine->cached, slot);
""", "queue"),
    ("shared put: exchange not sequentially consistent", "core/cache.h", """\
	(void)wi_swap_seq(&mine->cached, slot);
""", """\
	(void)wi_swap_acq_rel(&mine->cached, slot);
""", "queue"),
    ("thief: does not pass by who is taking", "core/cache.h", """\
	if (wi_pin_is(wi_load_acq(&other->pin)) == WI_PIN_TAKING)
		return WI_SLOT_NONE;
""", "", "cache"),
    ("thief: passes by whoever is pinned", "core/cache.h", """\
	if (wi_pin_is(wi_load_acq(&other->pin)) == WI_PIN_TAKING)
""", """\
	if (wi_pin_is(wi_load_acq(&other->pin)) != WI_PIN_OUT)
""", "queue"),
    ("thief: no exchange", "core/cache.h", """\
	return wi_swap_seq(&other->cached, WI_SLOT_NONE);
""", """\
	uint32_t slot = wi_load_seq(&other->cached);
	wi_store_seq(&other->cached, WI_SLOT_NONE);
	return slot;
""", "cache"),
    ("thief: may see an old cache", "core/cache.h", """\
	if (wi_load_seq(&other->cached) == WI_SLOT_NONE)
""", """\
	if (wi_load_acq(&other->cached) == WI_SLOT_NONE)
""", "queue"),
    ("thief: looks into one cache less", "core/core.c", """\
		for (uint32_t k = 0; k < WI_SEATS_A_SEGMENT; k++) {
			uint32_t b = (from""", """\
		for (uint32_t k = 0; k < WI_SEATS_A_SEGMENT - 1; k++) {
			uint32_t b = (from""", "history"),
    ("shared take: does not look at its own cache", "core/core.c", """\
	uint32_t slot = wi_cache_take_shared(mine);

	if (!slot)
		slot = wi_core_pop(core);
	return slot ?""", """\
	uint32_t slot = wi_core_pop(core);

	return slot ?""", "history"),
    # ---- bias ----
    ("revoke: no heavy fence", "core/bias.c", """\
	if (bias->world->fence_heavy()) {
""", """\
	if (true) {
""", "queue"),
    ("revoke: says FENCED before the fence", "core/bias.c", """\
	if (bias->world->fence_heavy()) {
		WI_YIELD("bias.revoke.fenced");
		wi_or_seq(&bias->word, WI_BIAS_FENCED);
	} else {
""", """\
	wi_or_seq(&bias->word, WI_BIAS_FENCED);
	if (!bias->world->fence_heavy()) {
""", "cache"),
    ("revoke: trusts a fence that is still under way", "core/bias.c", """\
	if (old & (WI_BIAS_FENCED | WI_BIAS_NEVER))
		return;
""", """\
	if (old)
		return;
""", "cache"),
    ("revoke: goes on though membarrier is gone", "core/bias.c", """\
		lose_bias(bias);
""", """\
		(void)lose_bias;
""", "cache"),
    ("membarrier is gone: old stores get no time", "core/bias.c", """\
	while (bias->world->now() < until_ns)
		bias->world->park(&nothing, 0, until_ns);
""", """\
	(void)nothing;
	(void)until_ns;
""", "cache"),
    ("restore: a store where somebody may hold it", "core/bias.c", """\
	wi_cas_seq(&bias->word, &lingering, 0);
""", """\
	wi_store_seq(&bias->word, 0);
""", "cache"),
    ("owner: looks at the bias without acquire", "core/bias.h", """\
	return wi_likely(wi_load_acq(&bias->word) == 0);
""", """\
	return wi_likely(wi_load_rlx(&bias->word) == 0);
""", "queue"),
    # ---- pins ----
    ("pin: no light fence", "core/pin.h", """\
	wi_store_rlx(&mine->pin, (wi_load_rlx(&mine->pin) & ~3u) + WI_PIN_PINNED);
	wi_fence_light();
""", """\
	wi_store_rlx(&mine->pin, (wi_load_rlx(&mine->pin) & ~3u) + WI_PIN_PINNED);
""", "close"),
    ("pin without membarrier: no full fence", "core/pin.c", """\
	wi_swap_seq(&mine->pin, (wi_load_rlx(&mine->pin) & ~3u) + WI_PIN_PINNED);
""", """\
	wi_store_rel(&mine->pin, (wi_load_rlx(&mine->pin) & ~3u) + WI_PIN_PINNED);
""", "close"),
    ("pin: comes in though the core is closed", "core/pin.c", """\
	return !(word & (WI_BIAS_CLOSED | WI_BIAS_FORKED | WI_BIAS_SUSPENDED));
""", """\
	(void)word;
	return true;
""", "pool"),
    ("awaiting pins: does not wait", "core/pin.c", """\
		bias->world->park(&nothing, 0, now_ns + LOOK_AGAIN_NS);
""", """\
		(void)nothing;
		break;
""", "close"),
    ("awaiting pins: no heavy fence", "core/pin.c", """\
	wi_bias_fence(bias);
	for""", """\
	(void)bias;
	for""", "close"),
    ("awaiting pins: takes TAKING -> PINNED for the end", "core/pin.c", """\
	while ((wi_load_acq(&seat->pin) ^ before) < WI_PIN_STEP) {
""", """\
	while (wi_load_acq(&seat->pin) == before) {
""", "close"),
    # ---- free list ----
    ("free list: no tag", "core/freelist.c", """\
	return ((((old >> WI_SLOT_BITS) + 1) & TAG_MASK) << WI_SLOT_BITS) | slot;
""", """\
	return ((((old >> WI_SLOT_BITS)) & TAG_MASK) << WI_SLOT_BITS) | slot;
""", "freelist"),
    ("free list: push does not publish", "core/freelist.c", """\
	} while (!wi_cas_seq(&list->head, &old, head_after(old, slot)));
""", """\
	} while (!wi_cas_acq(&list->head, &old, head_after(old, slot)));
""", "freelist"),
    ("free list: push not sequentially consistent", "core/freelist.c", """\
	} while (!wi_cas_seq(&list->head, &old, head_after(old, slot)));
""", """\
	} while (!wi_cas_acq_rel(&list->head, &old, head_after(old, slot)));
""", "cache"),
    ("free list: pop may see an old head", "core/freelist.c", """\
	uint64_t old = wi_load_seq(&list->head);
	uint32_t top""", """\
	uint64_t old = wi_load_acq(&list->head);
	uint32_t top""", "cache"),
    ("free list: pop gives up when another was faster", "core/freelist.c", """\
	} while (!wi_cas_seq(&list->head, &old, head_after(old, below)));
	return top;
""", """\
		if (wi_cas_seq(&list->head, &old, head_after(old, below)))
			return top;
	} while (false);
	return WI_SLOT_NONE;
""", "history"),
    # ---- giving ----
    ("give: no look after the push", "core/core.c", """\
	if (!wi_waitq_is_waited(&core->waitq) || is_seen_to(core))
		return WI_SLOT_NONE;
	return wi_core_pop(core);
""", """\
	return WI_SLOT_NONE;
""", "queue"),
    ("give: token held: trusts it though somebody is overdue", "core/core.c", """\
			return !wi_waitq_has_overdue(&core->waitq);
""", """\
			return true;
""", "queue"),
    ("give: nobody found: does not look again", "core/core.c", """\
			if (!wi_waitq_has_waiter(&core->waitq))
				return true;
""", """\
			return true;
""", "queue"),
    ("give: waiters counted without order", "core/waitq.c", """\
	return wi_load_seq(&q->count) != 0;
""", """\
	return wi_load_rlx(&q->count) != 0;
""", "queue"),
    ("shared put: no look at the waiters after", "core/core.c", """\
	WI_YIELD("core.put.cached");
	if (!wi_waitq_is_waited(&core->waitq)) {
""", """\
	if (core) {
""", "queue"),
    ("put: sees the bias gone and goes", "core/core.c", """\
	uint32_t slot = wi_cache_take_shared(mine);

	if (slot)
		wi_core_put_pinned(core, mine, slot);
""", """\
	(void)core;
	(void)mine;
""", "queue"),
    ("put: sees the bias gone and looks without a full fence", "core/core.c", """\
	uint32_t slot = wi_cache_take_shared(mine);

	if (slot)
		wi_core_put_pinned(core, mine, slot);
""", """\
	uint32_t slot = WI_SLOT_NONE;

	if (wi_waitq_is_waited(&core->waitq))
		slot = wi_cache_take_shared(mine);
	if (slot)
		wi_core_put_pinned(core, mine, slot);
""", "queue"),
    ("grant: keeps to a lost race", "core/waitq.c", """\
		if (decide(first.seat, WI_GRANTED, slot)) {
			serve(q, first.seat, now_ns);
			return true;
		}
""", """\
		(void)decide(first.seat, WI_GRANTED, slot);
		serve(q, first.seat, now_ns);
		return true;
""", "queue"),
    ("grant: no wake", "core/waitq.c", """\
			serve(q, first.seat, now_ns);
			return true;
""", """\
			return true;
""", "queue"),
    ("grant: does not publish the slot", "core/waitq.c", """\
		if (wi_cas_acq_rel(&seat->word, &word,
""", """\
		if (wi_cas_rlx(&seat->word, &word,
""", "queue"),
    ("nudge: no wake", "core/waitq.c", """\
		if (is_pending(word) && wi_cas_seq(&first.seat->word, &word, word | TOKEN)) {
			q->world->wake(&first.seat->word);
			return true;
""", """\
		if (is_pending(word) && wi_cas_seq(&first.seat->word, &word, word | TOKEN)) {
			return true;
""", "queue"),
    ("nudge: nobody found, and the token is kept", "core/waitq.c", """\
		return WI_NUDGE_GIVEN;
	wi_store_seq(&q->token, 0);
""", """\
		return WI_NUDGE_GIVEN;
""", "queue"),
    # ---- waiting ----
    ("wait: no look after announcing", "core/wait.c", """\
	join_line(core, mine, since_ns);
	found = look(core, mine);
""", """\
	join_line(core, mine, since_ns);
	found = WI_SLOT_NONE;
""", "queue"),
    ("wait: the bias is not revoked", "core/wait.c", """\
	WI_YIELD("core.wait.announced");
	wi_core_revoke(core);
""", """\
	wi_add_seq(&core->bias.word, 0);
	wi_bias_revoke(&(struct wi_bias){.world = core->world});
	wi_add_seq(&core->bias.word, WI_BIAS_HOLD);
	wi_sub_seq(&core->bias.word, WI_BIAS_HOLD);
""", "queue"),
    ("wait: looks, and then announces", "core/wait.c", """\
	join_line(core, mine, since_ns);
	found = look(core, mine);
""", """\
	wi_core_revoke(core);
	found = look(core, mine);
	wi_waitq_announce(&core->waitq, mine, since_ns);
""", "queue"),
    ("wait: what was granted at the deadline is dropped", "core/wait.c", """\
			o = wi_waitq_outcome(mine); /* granted or refused at the last moment */
""", """\
			(void)0;
""", "queue"),
    ("settle: drops the one of two", "core/wait.c", """\
		o = wi_waitq_outcome(mine);
		wi_core_give(core, found);
""", """\
		o = wi_waitq_outcome(mine);
""", "queue"),
    ("settle: does not withdraw", "core/wait.c", """\
	if (!wi_waitq_cancel(mine) && wi_waitq_outcome(mine).verdict == WI_GRANTED) {
""", """\
	if (wi_waitq_outcome(mine).verdict == WI_GRANTED) {
""", "queue"),
    ("wait: sleeps on a token that came since the look", "core/waitq.c", """\
	if (is_pending(word))
		q->world->park(&seat->word, word, until_ns);
""", """\
	word = wi_load_rlx(&seat->word);
	if (is_pending(word))
		q->world->park(&seat->word, word, until_ns);
""", "queue"),
    ("wait: takes what was granted without acquire", "core/waitq.c", """\
	uint32_t word = wi_load_acq(&seat->word);
""", """\
	uint32_t word = wi_load_rlx(&seat->word);
""", "queue"),
    ("overdue: not said", "core/wait.c", """\
	if (!v->overdue)
		wi_waitq_say_overdue(&core->waitq, mine);
""", "", "queue"),
    ("overdue: no look after it was said", "core/wait.c", """\
		v->nap_ns = WI_LOOK_OVERDUE_NS;
	return nap_and_look(core, mine, now_ns, v);
""", """\
		v->nap_ns = WI_LOOK_OVERDUE_NS;
	v->until_ns = now_ns + v->nap_ns;
	v->nap_ns *= 2;
	return WI_SLOT_NONE;
""", "queue"),
    ("token: given up in the word only", "core/waitq.c", """\
	WI_YIELD("waitq.yield.unsaid");
	wi_store_seq(&q->token, 0);
""", "", "queue"),
    ("token: not given up when leaving", "core/waitq.c", """\
	return wi_waitq_yield_token(q, seat);
}
""", """\
	return false;
}
""", "queue"),
    ("token: given up, and no look after", "core/wait.c", """\
	if (yielded || had_token)
		pass_on(core, mine);
""", """\
	(void)yielded;
	(void)had_token;
	(void)pass_on;
""", "queue"),
    # ---- shutting, sweeping, ending ----
    ("shut: who waits is not refused", "core/core.c", """\
	wi_bias_end(&core->bias, WI_BIAS_CLOSED);
	wi_waitq_refuse(&core->waitq, reason);
""", """\
	wi_bias_end(&core->bias, WI_BIAS_CLOSED);
""", "queue"),
    ("shut: who comes to wait does not look", "core/wait.c", """\
	if (!reason || !wi_waitq_cancel(mine))
""", """\
	if (reason || !wi_waitq_cancel(mine))
""", "queue"),
    ("shut: pins go on", "core/core.c", """\
	wi_bias_end(&core->bias, WI_BIAS_CLOSED);
""", "", "pool"),
    ("suspend: the bit is written once", "core/core.c", """\
	} while (said != reason);
""", """\
	} while (0);
""", "suspend"),
    ("suspend: nobody is woken", "core/core.c", """\
	core->world->wake(&core->suspended);
""", "", "suspend"),
    ("steal: the bias is not revoked", "core/core.c", """\
	wi_core_revoke(core);
	slot = wi_core_search(core, mine, wi_cache_steal);
	wi_bias_release(&core->bias);
""", """\
	slot = wi_core_search(core, mine, wi_cache_steal);
""", "cache"),
    ("sweep: the bias is not revoked", "core/core.c", """\
		wi_core_revoke(core);
		sweep_caches(core, wanted, got, arg);
		wi_bias_release(&core->bias);
""", """\
		sweep_caches(core, wanted, got, arg);
""", "cache"),
    ("sweep: does not ask again what it took", "core/core.c", """\
			if (wanted(arg, slot)) /* it may be another by now */
""", """\
			if (slot)
""", "cache"),
    ("exit: what the thread kept is dropped", "core/desk.c", """\
	if (slot)
		wi_core_give(core, slot);
	wi_seats_leave""", """\
	if (slot)
		wi_store_rlx(&seat->cached, WI_SLOT_NONE);
	wi_seats_leave""", "cache"),
    ("exit against free: no grace period", "core/desk.c", """\
	wi_rcu_wait();
""", "", "close"),
    ("seats: a thread that has just come is not seen", "core/core.c", """\
		uint64_t taken = wi_load_seq(&g->taken);
""", """\
		uint64_t taken = wi_load_rlx(&g->taken);
""", "cache"),
    # ---- the pool ----
    ("checkin: no light fence between letting go and the notes", "pool/checkin.c", """\
	wi_fence_light();
	WI_YIELD("checkin.let_go.done");
""", "", "pool"),
    ("cut of a leaked connection: no heavy fence", "pool/leak.c", """\
	wi_bias_fence(&pool->core.bias);
""", "", "pool"),
    ("close: does not wait for who was pinned before", "pool/pool.c", """\
	wi_core_await_pins(&p->core);
	wi_rcu_wait();
""", """\
	wi_rcu_wait();
""", "pool"),
    # ---- stat/ring.c ----
    ("ring: a writer writes where another one is at it", "stat/ring.c", """\
		if (state & 1 || state > 2 * number)
""", """\
		if (state > 2 * number)
""", "ring"),
    ("ring: a late writer writes over a newer event", "stat/ring.c", """\
		if (state & 1 || state > 2 * number)
""", """\
		if (state & 1)
""", "ring"),
    ("ring: a record is said to be full before its words", "stat/ring.c", """\
	wi_store_rel(&r->state, 2 * number); /*""", """\
	wi_store_rlx(&r->state, 2 * number); /*""", "ring"),
    ("ring: words before the record says that it is written", "stat/ring.c", """\
		wi_store_rel(&r->word[i], words[i]);
""", """\
		wi_store_rlx(&r->word[i], words[i]);
""", "ring"),
    ("ring: a reader's second look is not after the words", "stat/ring.c", """\
		words[i] = wi_load_acq(&r->word[i]);""", """\
		words[i] = wi_load_rlx(&r->word[i]);""", "ring"),
    ("ring: a reader looks at the record once", "stat/ring.c", """\
	if (wi_load_rlx(&r->state) != 2 * number)
		return GONE;
""", "", "ring"),
    ("ring: a reader's first look is not before the words", "stat/ring.c", """\
	uint64_t state = wi_load_acq(&r->state); /*""", """\
	uint64_t state = wi_load_rlx(&r->state); /*""", "ring"),
]

# In every test run: the fastest, of each kind one.
QUICK = [
    "take: no light fence between pin and look",
    "revoke: no heavy fence",
    "free list: no tag",
    "give: no look after the push",
    "settle: drops the one of two",
    "awaiting pins: takes TAKING -> PINNED for the end",
]
