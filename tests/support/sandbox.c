/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/sandbox.h"

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
/* The low half of an argument, and the high one. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW 0
#else
#define LOW 4
#endif
#define LOAD_AT(i, offset)                                                                         \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[i]) + (offset))
#define LOAD_ARGUMENT(i) LOAD_AT(i, LOW)
#define LOAD_OTHER_HALF(i) LOAD_AT(i, 4 - LOW)
#define FAIL(error)                                                                                \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((uint32_t)(error)&SECCOMP_RET_DATA))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static bool put_up(const struct sock_filter *filter, unsigned short n, bool all_threads)
{
	/* The kernel only reads it. */
	struct sock_fprog program = {n, (struct sock_filter *)(uintptr_t)filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	               all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0, &program) == 0;
}

bool test_forbid(long call, int error, bool all_threads)
{
	const struct sock_filter filter[] = {
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
		FAIL(error),
		ALLOW,
	};

	return put_up(filter, sizeof(filter) / sizeof(filter[0]), all_threads);
}

bool test_forbid_stepping_waits(int error)
{
	const struct sock_filter filter[] = {
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 7), /* to ALLOW */
		LOAD_ARGUMENT(1),                                     /* the operation */
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, FUTEX_CLOCK_REALTIME, 0, 5),
		LOAD_ARGUMENT(3), /* the time: without one, the clock does not matter */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2),
		LOAD_OTHER_HALF(3),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		FAIL(error),
		ALLOW,
	};

	return put_up(filter, sizeof(filter) / sizeof(filter[0]), false);
}
