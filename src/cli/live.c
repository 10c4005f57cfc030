/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waking by a pipe, so that a signal between a look and a sleep is not lost. Pictures go to the
 * terminal's second screen, and out as one; lines are cut at its edge by the terminal itself.
 */
#include "cli/live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/clock.h"

static int wakes[2] = {-1, -1};
static volatile sig_atomic_t ended;
static bool hears_keys;
static struct termios before;

bool cli_live_init(void)
{
	return pipe2(wakes, O_CLOEXEC | O_NONBLOCK) == 0;
}

void cli_live_wake(void)
{
	int saved = errno;

	/* Full: it will wake anyway. */
	if (write(wakes[1], "", 1) < 0)
		errno = saved;
	errno = saved;
}

static void on_signal(int number)
{
	if (number != SIGWINCH)
		ended = 1;
	cli_live_wake();
}

void cli_live_hear_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};

	cli_hear_signals(numbers, sizeof(numbers) / sizeof(numbers[0]), on_signal);
}

bool cli_live_is_ended(void)
{
	return ended;
}

static void hear_key(void)
{
	char key;
	ssize_t n = read(STDIN_FILENO, &key, 1);

	if (n == 1 && (key == 'q' || key == 'Q'))
		ended = 1;
	if (n == 0)
		hears_keys = false; /* the terminal is gone */
}

void cli_live_sleep(int64_t until_ns)
{
	struct pollfd p[2] = {{.fd = wakes[0], .events = POLLIN},
	                      {.fd = hears_keys ? STDIN_FILENO : -1, .events = POLLIN}};
	int64_t left = until_ns - cli_now();
	char sink[256];

	if (left > 0)
		(void)poll(p, 2, (int)(left / CLI_MS) + 1);
	if (p[1].revents)
		hear_key();
	while (read(wakes[0], sink, sizeof(sink)) > 0)
		continue;
}

/* ---- the screen ---- */

bool cli_screen_is_there(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(term && !strcmp(term, "dumb"));
}

/* Keys come one by one, and are not shown; only where we are in the foreground. */
static void begin_keys(void)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() ||
	    tcgetattr(STDIN_FILENO, &before))
		return;
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	hears_keys = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

void cli_screen_begin(bool keys)
{
	if (keys)
		begin_keys();
	/* A picture goes out as one. */
	(void)setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	/* The second screen, no cursor, no wrapping. */
	fputs("\033[?1049h\033[?25l\033[?7l", stdout);
	fflush(stdout);
}

void cli_screen_end(void)
{
	if (hears_keys)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
	hears_keys = false;
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
}

size_t cli_screen_clear(void)
{
	struct winsize size;

	fputs("\033[H\033[J", stdout);
	return !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row ? size.ws_row : 24;
}
