/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gauge of a host (gauge.h), a peak EWMA: it fades over ten seconds, and over as many
 * connections as say enough; and it rises at once where the last few were much slower than that.
 *
 * The numbers. What is out is looked at a hundred times a second, so how many of those looks found
 * something is the evidence: of n the chance error is 1/sqrt(n). 100 of them, and 256 that came
 * back, tell a tenth from a fifth; 32 tell that it is more than twice what it was.
 */
#include "route/gauge.h"

#include "base/clock.h"

#define FADE_NS (10 * WI_SEC)
#define MINUTE_NS (60 * WI_SEC)
#define LOOK_NS (10 * WI_MS)

#define ENOUGH_HELD 200
#define ENOUGH_RETURNED 400
#define FEW 32
#define GUESS_HELD 2 /* what is expected counts as much as so many looks that found something */
#define NEARLY 1.25
#define PEAK 2.5 /* so many times slower is a change */

/* What is quicker than this is as good as quick. */
#define LEAST_NS 50000.0

/* So that one more or less among few is no reason. */
#define FEW_OUT 4

#define LEAST_START (1.0 / 256)

/* Up to this ratio costs are taken as they are, beyond it they deter. */
#define ALIKE 1.5

/* ---- what is known ---- */

static void fade(struct wi_flow *f, double factor)
{
	f->held *= factor;
	f->returned *= factor;
}

/* No more is remembered than is needed to be sure. */
static void add(struct wi_flow *f, double held, double returned, double most_held,
                double most_returned)
{
	f->held += held;
	f->returned += returned;
	if (f->held > most_held && f->returned > most_returned) {
		double over = f->held / most_held, more = f->returned / most_returned;

		fade(f, 1 / (over < more ? over : more));
	}
}

static double ratio(const struct wi_flow *f)
{
	return f->held / (f->returned + 1);
}

void wi_gauge_add(struct wi_gauge *g, double out, uint64_t returned, int64_t dt_ns)
{
	double held = out * (double)dt_ns / (double)LOOK_NS;

	fade(&g->flow, (double)FADE_NS / (double)(FADE_NS + dt_ns));
	add(&g->flow, held, (double)returned, ENOUGH_HELD, ENOUGH_RETURNED);
	add(&g->recent, held, (double)returned, FEW, FEW);
	if (g->recent.held >= FEW && g->recent.returned >= FEW &&
	    ratio(&g->recent) > PEAK * ratio(&g->flow))
		g->flow.held = ratio(&g->recent) * (g->flow.returned + 1);
}

bool wi_gauge_is_sure(const struct wi_gauge *g)
{
	return g->flow.held >= FEW && g->flow.returned >= FEW;
}

double wi_gauge_ns(const struct wi_gauge *g, double usual_ns)
{
	double guess = usual_ns > 0 ? GUESS_HELD : 0;
	double as_returned = usual_ns > 0 ? guess * (double)LOOK_NS / usual_ns : 1;
	double ns = (g->flow.held + guess) * (double)LOOK_NS / (g->flow.returned + as_returned);

	return ns > LEAST_NS ? ns : LEAST_NS;
}

/* ---- what follows ---- */

/* By the square: what warms up slowly is most in need of time at the beginning. */
double wi_gauge_started(int64_t elapsed_ns, int64_t window_ns)
{
	double part = elapsed_ns < window_ns ? (double)elapsed_ns / (double)window_ns : 1;

	return part * part > LEAST_START ? part * part : LEAST_START;
}

/* Falls at once, and rises over a minute, so that it outlasts a host's bad hour. */
double wi_loads_usual_ns(struct wi_load *const *loads, uint32_t n, double usual_ns, int64_t dt_ns)
{
	double least = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct wi_gauge *g = &loads[i]->gauge;
		double ns = g->flow.held * (double)LOOK_NS / (g->flow.returned + 1);

		if (2 * g->flow.held >= ENOUGH_HELD && (least == 0 || ns < least))
			least = ns;
	}
	if (least == 0)
		return usual_ns;
	if (usual_ns == 0 || least < usual_ns)
		return least;
	return usual_ns + (least - usual_ns) * (double)dt_ns / (double)(MINUTE_NS + dt_ns);
}

static double least_ns(struct wi_load *const *loads, uint32_t n, double usual_ns)
{
	double least = 0;

	for (uint32_t i = 0; i < n; i++) {
		double ns = wi_gauge_ns(&loads[i]->gauge, usual_ns);

		if (least == 0 || ns < least)
			least = ns;
	}
	return least;
}

/*
 * In proportion, as long as hosts are alike; but who is ten times as slow must not even serve one
 * read of a hundred, or the slowest hundredth of all reads is as slow as he.
 */
static double attraction(double times)
{
	double beyond = times / ALIKE;

	return beyond > 1 ? 1 / (times * beyond * beyond * beyond) : 1 / times;
}

static uint32_t at_least_one(double share)
{
	return share > 1 ? (uint32_t)share : 1;
}

/* What is nearly the least is the least: the difference may be chance. */
static void weigh(struct wi_load *l, double ns, double least)
{
	double times = ns / least > NEARLY ? ns / least / NEARLY : 1;
	double crowd = 1 + (double)l->out * 100 / (l->weight ? l->weight : 1) / FEW_OUT;
	double share = (double)WI_SHARE * l->weight / 100 * l->started;

	l->slow_ns = times * least;
	l->share = at_least_one(share);
	l->pull = at_least_one(share * attraction(times) / crowd);
}

/* A pair drawn at random could not give a host more than the pairs that it is in. */
static void mark_uneven(struct wi_load *const *loads, uint32_t n)
{
	bool uneven = false;

	for (uint32_t i = 1; i < n; i++)
		uneven = uneven || loads[i]->weight != loads[0]->weight;
	for (uint32_t i = 0; i < n && uneven; i++)
		loads[i]->pull |= WI_PULL_UNEVEN;
}

void wi_loads_weigh(struct wi_load *const *loads, uint32_t n, double usual_ns)
{
	double least = least_ns(loads, n, usual_ns);

	for (uint32_t i = 0; i < n; i++)
		weigh(loads[i], wi_gauge_ns(&loads[i]->gauge, usual_ns), least);
	mark_uneven(loads, n);
}
