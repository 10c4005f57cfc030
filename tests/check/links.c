/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is done to the links between the router and the servers. What a link has swallowed nobody
 * sends again, so what was connected through it is reset in the end.
 */
#include <time.h>

#include "base/clock.h"
#include "check/deeds_inside.h"

void deed_nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 5 * WI_MS}, NULL);
}

/* Nothing gets through: who tries is refused, who is connected is reset. */
void deed_cut(struct stage *s, int i)
{
	test_proxy_refuse(s->proxy[i], true);
	test_proxy_reset(s->proxy[i]);
}

void deed_mend(struct stage *s, int i)
{
	test_proxy_reset(s->proxy[i]);
	test_proxy_heal(s->proxy[i]);
	test_proxy_refuse(s->proxy[i], false);
}

static struct test_proxy_fault fault_of(struct stage *s, enum deed deed)
{
	struct test_proxy_fault fault = {0};
	uint32_t way = wi_rng_below(&s->rng, 2);

	if (deed == DEED_ONE_WAY)
		fault.stop[way] = true;
	else
		fault.delay_ms[way] = deed_some_ms(s, 20, 300);
	return fault;
}

void deed_link(struct stage *s, enum deed deed, int i)
{
	struct test_proxy *proxy = s->proxy[i];
	struct test_proxy_fault fault = fault_of(s, deed);

	if (deed == DEED_RESET_LINK) {
		test_proxy_reset(proxy);
		return;
	}
	if (deed == DEED_BLACK_HOLE)
		test_proxy_blackhole(proxy);
	else if (deed == DEED_REFUSE)
		deed_cut(s, i);
	else
		test_proxy_fault(proxy, TEST_PROXY_ALL, &fault);
	deed_wait(s, deed_some_ms(s, 100, 3000));
	if (deed == DEED_SLOW_LINK)
		test_proxy_heal(proxy);
	else
		deed_mend(s, i);
}
