/* SPDX-License-Identifier: BSD-2-Clause */
/* What `weir check` has seen, between the file that looks and the file that tells. */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

/* How one checkout went. */
struct cli_trial {
	weir_status status;
	weir_error error;    /* if it failed */
	weir_conn_info info; /* if it did not */
	int64_t wait_ns;
};

struct cli_findings {
	weir_host_stats *hosts;
	size_t n_hosts;
	bool all_probed; /* every host answered or failed before the time was up */
	int64_t timeout_ms;
	struct cli_trial read;
	struct cli_trial write;
	int exit;
	char verdict[160];
};

/* Sets exit and verdict from all the rest. */
void cli_check_judge(struct cli_findings *found);

void cli_check_print(const struct cli_findings *found);
/*
 * check_session.c: what is in force on the connections of each host, and what is wrong with that.
 */
void cli_check_print_sessions(const struct cli_findings *found);
void cli_check_print_warnings(const struct cli_findings *found);
struct json_t;
struct json_t *cli_check_session_document(const weir_host_stats *host);

void cli_check_print_json(const struct cli_findings *found);

#endif
