/* SPDX-License-Identifier: BSD-2-Clause */
/* The libpq driver does what any driver does, against a real server. */
#include "conformance/libpq_suite.h"

int main(void)
{
	int failed;

	libpq_set_up();
	failed = driver_suite_run("libpq", &libpq_env);
	return libpq_tear_down() ? failed : 1;
}
