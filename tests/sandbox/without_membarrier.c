/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a program where membarrier(2) fails, as under an old kernel (ENOSYS) or in a strict sandbox
 * (EPERM): without_membarrier ENOSYS|EPERM PROGRAM [ARGUMENT...]. The filter is there before the
 * program is loaded.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/sandbox.h"

#define SKIPPED 77

int main(int argc, char **argv)
{
	int error = argc > 2 && strcmp(argv[1], "EPERM") == 0 ? EPERM : ENOSYS;

	if (argc < 3) {
		fprintf(stderr, "usage: without_membarrier ENOSYS|EPERM PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	if (!test_forbid(SYS_membarrier, error, false)) {
		printf("skipped: no filter on system calls can be put up here: %s\n",
		       strerror(errno));
		return SKIPPED;
	}
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) != -1 || errno != error) {
		fprintf(stderr, "the filter does not work\n");
		return 1;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
