/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a sample through a router, and says how many checkouts that took and what is still out. */
#include <stdio.h>

#include <weir/weir.h>

extern weir_router *app_router;
extern int sample(const char *url);

weir_router *app_router;

int main(int argc, char **argv)
{
	weir_host_stats hosts[8];
	weir_error error;
	uint64_t checkouts = 0, out = 0;
	int status;

	if (argc != 2 || weir_router_open(argv[1], NULL, &app_router, &error) != WEIR_OK)
		return 2;
	status = sample(argv[1]);
	for (size_t i = weir_router_stats_get(app_router, hosts, 8); i-- > 0;) {
		checkouts += hosts[i].pool.checkouts;
		out += hosts[i].pool.busy;
	}
	fprintf(stderr, "checkouts %llu, still out %llu\n", (unsigned long long)checkouts,
	        (unsigned long long)out);
	if (weir_router_close(&app_router, 10000) != WEIR_OK)
		return 2;
	return status;
}
