# SPDX-License-Identifier: BSD-2-Clause
"""
What is broken in the library, one thing at a time, to see that the checker notices. A row: what is broken; the file;
its text there, which has to occur exactly once; what stands there instead; the words for the checker that bring it out
(deeds, and how often to probe), or the simulation; the rules, or its tests, of which one has to find it.
"""

# Many who write, and a router that hears of it by them or late; for longer, as only a moment tells.
READ_ONLY = ["--seconds", "30", "--clients", "16", "--probe", "3000", "--pace", "1000", "READ_ONLY"]

# Not the checker, but weir_run among failures, tests/pg/run_test.c.
RUNS = ["pg.run"]

TABLE = [
    # ---- the token check ----
    ("token: a replica has reached every token", "route/fresh.c", """\
	return reached && lsn >= token->lsn ? WI_FRESH : WI_BEHIND;
""", """\
	return reached ? WI_FRESH : WI_BEHIND;
""", ["HOLD_REPLAY"], ["OWN_WRITES"]),
    ("session: any replica may show what comes next", "route/fresh.c", """\
		by_session = wi_session_allows(r, h, wish->session);
""", """\
		by_session = WI_FRESH;
""", ["HOLD_REPLAY"], ["SESSION"]),
    # ---- the lag limit ----
    ("lag: a replica is always young enough", "route/fresh.c", """\
	return as_of != WI_LAG_UNKNOWN && now_ns - as_of <= max_lag_ms * WI_MS;
""", """\
	(void)as_of, (void)max_lag_ms, (void)now_ns;
	return true;
""", ["HOLD_REPLAY"], ["STALENESS"]),
    ("lag: a replica is as young as the primary's last answer", "route/lag.c", """\
		lag.as_of_ns = h->sample[reached - 1].last_ns;
""", """\
		lag.as_of_ns = h->sample[h->count - 1].last_ns;
""", ["HOLD_REPLAY"], ["STALENESS"]),
    # ---- the split-brain rule ----
    ("split brain: who was left behind is a candidate", "route/roles.c", """\
		if (is_candidate(c, i) && c->sight[i].timeline && c->sight[i].timeline < highest)
""", """\
		if (is_candidate(c, i) && c->sight[i].timeline && c->sight[i].timeline < highest && c->n > 99)
""", ["RETURN_ALONE"], ["FENCED", "LOST_WRITE"]),
    ("split brain: of two primaries the first is taken", "route/roles.c", """\
	if (!*split) {
		so_far->split_ns = 0;
		return winner;
	}
""", """\
	*split = false;
	if (!*split) {
		so_far->split_ns = 0;
		return winner;
	}
""", ["TWO_PROMOTED"], ["FENCED", "LOST_WRITE", "TRUE_READ"]),
    # ---- the role of a connection, before its next write ----
    ("epoch: a refusal ends none", "pool/epoch.c", """\
	if (!c->pool->routed || !was_for_writing(c))
		return;
	switch (wi_epoch_refusal(c)) {
""", """\
	if (c->pool->routed || !was_for_writing(c))
		return;
	switch (wi_epoch_refusal(c)) {
""", READ_ONLY, ["REFUSED", "REFUSED_ONCE"]),
    ("epoch: what is open is not asked again", "pool/epoch.c", """\
	for (uint32_t i = 1; i <= n; i++)
		wi_or_seq(&pool->conns[i].notes, WI_NOTE_VERIFY);
	wi_add_seq(&pool->epochs_noted, 1);
""", """\
	(void)n;
	wi_add_seq(&pool->epochs_noted, 1);
""", READ_ONLY, ["REFUSED", "REFUSED_ONCE"]),
    ("epoch: whatever the answer is, it is given out", "pool/epoch.c", """\
		return refuse(c, "the primary's sessions are read-only by default");
""", """\
		(void)0;
""", READ_ONLY, ["REFUSED", "REFUSED_ONCE"]),
    # ---- the monitor and the hosts, by simulations ----
    ("monitor: a split is told before the standbys have voted", "route/quarrel.c", """\
		if ((!is_party(h, j) && !may_vote(h)) || h->failures ||
""", """\
		if (!is_party(h, j) || h->failures ||
""", ["sim.router_monitor"], ["nothing_is_told_before_the_standbys_have_voted"]),
    ("monitor: a split is told again and again", "route/quarrel.c", """\
	if (r->split_told == j->primary + 2 || !is_sure(r, j))
""", """\
	if (!is_sure(r, j))
""", ["sim.router_contradiction"], ["two_primaries_are_none"]),
    ("monitor: a host that flaps serves at once", "route/hold.c", """\
	return h->falls > 1 ? h->router->options.hold_down_ms : 0;
""", """\
	return h->falls > 99 ? h->router->options.hold_down_ms : 0;
""", ["sim.router_monitor"], ["a_flapping_host_is_held", "a_flapping_primary_is_revoked_at_once"]),
    ("monitor: without a primary the pace is the usual one", "route/pace.c", """\
	if (now_ns < r->alarmed_until_ns)
		period = least(period, alarmed_ms(r));
""", "", ["sim.router_monitor"], ["without_a_primary_hosts_are_asked_faster"]),
    ("monitor: a host that fails is asked at the pace of the first pause", "route/pace.c", """\
	return most(least(longest, first << doublings), FLOOR_MS);
""", """\
	return most(least(longest, first << (doublings & 0)), FLOOR_MS);
""", ["sim.router_trouble"], ["a_failing_host_is_asked_less_and_less"]),
    ("monitor: several servers behind a name are taken for one", "route/identity.c", """\
	return h->several_until_ns > (s->answered ? s->answered_ns : now_ns);
""", """\
	return h->several_until_ns > now_ns + 3600 * WI_SEC;
""", ["sim.router_monitor"], ["a_name_of_several_servers_promises_nothing"]),
    ("monitor: who refuses the probe's credentials is waited for before a split is told", "route/quarrel.c", """\
		if ((!is_party(h, j) && !may_vote(h)) || h->failures ||
""", """\
		if ((!is_party(h, j) && !may_vote(h)) ||
""", ["sim.router_trouble"], ["credentials_are_not_tried_faster_for_a_doubt"]),
    ("monitor: who refuses the probe's credentials is asked at once for every doubt", "route/pace.c", """\
	if (h->trouble && (!h->failures || (h->hurt && h->opinion.role != WEIR_ROLE_UNKNOWN)))
""", """\
	if (h->trouble && (!h->failures || h->opinion.role != WEIR_ROLE_UNKNOWN))
""", ["sim.router_trouble"], ["credentials_are_not_tried_faster_for_a_doubt"]),
    ("monitor: who refuses the probe's credentials is asked for every read's position", "route/pace.c", """\
	return wi_load_rlx(refuses ? &r->looks : &r->tickets) > h->asking_for;
""", """\
	return wi_load_rlx(refuses ? &r->tickets : &r->tickets) > h->asking_for;
""", ["sim.router_trouble"], ["credentials_are_not_tried_for_each_token"]),
    ("fresh: who refuses the probe's credentials may have the position soon", "route/fresh.c", """\
	return is_shut_out(h) ? WI_STALE : WI_BEHIND;
""", """\
	return is_shut_out(h) ? WI_BEHIND : WI_BEHIND;
""", ["sim.router_trouble"], ["credentials_are_not_tried_for_each_token"]),
    ("monitor: another standby may answer where the probe's credentials are refused", "route/conclude.c", """\
	                      .unprobed = h->failures != 0};
""", """\
	                      .unprobed = false};
""", ["sim.router_trouble"], ["another_server_behind_what_is_open_takes_the_role"]),
    ("monitor: whoever has answered first is chosen from", "route/conclude.c", """\
	r->settled = make_brief(r, &b, now_ns) || r->settled;
""", """\
	r->settled = make_brief(r, &b, now_ns) || true;
""", ["sim.router_roles"], ["the_first_checkout_waits_for_the_first_look"]),
    ("hosts: one that is added takes away what is known", "route/conclude.c", """\
	r->settled = make_brief(r, &b, now_ns) || r->settled;
""", """\
	r->settled = make_brief(r, &b, now_ns);
""", ["sim.router_hosts"], ["an_added_host_that_says_nothing_unsettles_nobody"]),
    ("hosts: the counts of one that leaves leave with it", "route/totals.c", """\
	add_host(&r->gone, &s);
""", "", ["sim.router_stats"], ["all_agree_after_hosts_have_come_and_gone"]),
    ("hosts: who comes back has its whole share at once", "route/stand.c", """\
	s->on_trial = false;
	s->start_ns = now_ns;
""", """\
	s->on_trial = false;
	s->start_ns = 0;
""", ["sim.router_stand"], ["a_restarted_replica_begins_slowly"]),
    # ---- transactions ----
    ("run: tried again after an unknown outcome", "exec/run.c", """\
		*why = wi_retry_why(c, st, error->sqlstate, writes(r));
""", """\
		*why = wi_retry_why(c, st, error->sqlstate, writes(r));
		if (st == WEIR_OUTCOME_UNKNOWN)
			*why = WEIR_AGAIN_LOST;
""", RUNS, ["ONCE"]),
    ("run: a loss in COMMIT is a loss like any other", "exec/tx.c", """\
	bool writes = may_write(e);
""", """\
	bool writes = may_write(e) && false;
""", RUNS, ["ONCE", "NEVER"]),
    ("run: what has failed is committed all the same", "exec/tx.c", """\
	enum wi_said said = wi_say(e->c, "ROLLBACK", wi_tx_undo_by(e->c), &f);
""", """\
	enum wi_said said = wi_say(e->c, "COMMIT", wi_tx_undo_by(e->c), &f);
""", RUNS, ["NEVER", "ONCE", "TOTAL"]),
    ("run: a COMMIT that is answered ROLLBACK is OK", "exec/tx.c", """\
	if (facts.in_failed_tx)
		return failed(e, facts.failed_by, error);
""", "", RUNS, ["ONCE"]),
    ("run: a nested one is kept that should be taken back", "exec/tx_nest.c", """\
	         "ROLLBACK TO SAVEPOINT " SAVEPOINT "; RELEASE SAVEPOINT " SAVEPOINT, depth, depth);
""", """\
	         "RELEASE SAVEPOINT " SAVEPOINT " /* %llu */", depth, depth);
""", RUNS, ["NEVER", "TOTAL"]),
]
