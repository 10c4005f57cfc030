// SPDX-License-Identifier: BSD-2-Clause

// The pools of Go: puddle, pgxpool, and pgx without a pool, by VARIANT. Same arguments, loops,
// histogram and line of JSON as the programs in C (see ../c/peer.h); a thread is a goroutine.
package main

import (
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	buckets = 1920
	batch   = 32
	rest    = 5 // connections open before a spike
)

const (
	warm int32 = iota
	measure
	stop
)

type job struct {
	work        string
	threads     int
	connections int
	hold        time.Duration
	warm        time.Duration
	run         time.Duration
	url         string
}

// A pool as the loops see it. take waits until it has a handle.
type pool interface {
	take(thread int) interface{}
	put(thread int, handle interface{})
	query(handle interface{}, sql string) bool
	close()
}

// How many connections a pool shall have open at the start.
func (j *job) first() int {
	if j.work == "spike" {
		return rest
	}
	return j.connections
}

type tally struct {
	done    uint64
	longest int64
	bucket  [buckets]uint64
	_       [64]byte
}

var phase int32

var origin = time.Now()

func now() int64 { return int64(time.Since(origin)) }

func die(err interface{}) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func bucketOf(v uint64) int {
	shift := bits.Len64(v) - 6
	if shift < 0 {
		shift = 0
	}
	return shift*32 + int(v>>uint(shift))
}

func (t *tally) record(ns int64) {
	t.done++
	t.bucket[bucketOf(uint64(ns))]++
	if ns > t.longest {
		t.longest = ns
	}
}

func pairs(p pool, thread int, t *tally) {
	for {
		at := atomic.LoadInt32(&phase)
		if at == stop {
			return
		}
		for i := 0; i < batch; i++ {
			p.put(thread, p.take(thread))
		}
		if at == measure {
			t.done += batch
		}
	}
}

func hold(d time.Duration) {
	if d == 0 {
		return
	}
	for until := now() + int64(d); now() < until; {
	}
}

func timed(p pool, j *job, thread int, t *tally) {
	asks := j.work == "query"
	for {
		at := atomic.LoadInt32(&phase)
		if at == stop {
			return
		}
		begun := now()
		handle := p.take(thread)
		ended := now()
		if !asks {
			hold(j.hold)
		} else if !p.query(handle, "SELECT 1") {
			die("SELECT 1 failed")
		}
		p.put(thread, handle)
		if at == measure {
			t.record(ended - begun)
		}
	}
}

func once(p pool, thread int, gate <-chan int64, t *tally) {
	begun := <-gate
	handle := p.take(thread)
	if !p.query(handle, "SELECT 1 FROM pg_sleep(0.002)") {
		die("SELECT 1 failed")
	}
	p.put(thread, handle)
	t.record(now() - begun)
}

func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		die(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func print(all []tally, ns, cpuNs int64) {
	var longest int64
	var done, counts []string
	for i := range all {
		done = append(done, strconv.FormatUint(all[i].done, 10))
		if all[i].longest > longest {
			longest = all[i].longest
		}
	}
	for b := 0; b < buckets; b++ {
		var n uint64
		for i := range all {
			n += all[i].bucket[b]
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("[%d, %d]", b, n))
		}
	}
	fmt.Printf("{\"ns\": %d, \"cpu_ns\": %d, \"done\": [%s], \"max\": %d, \"buckets\": [%s]}\n", ns, cpuNs,
		strings.Join(done, ", "), longest, strings.Join(counts, ", "))
}

func number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		die(err)
	}
	return n
}

func printBuckets(words []string) {
	var found []string
	for _, word := range words {
		v, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			die(err)
		}
		found = append(found, strconv.Itoa(bucketOf(v)))
	}
	fmt.Println(strings.Join(found, " "))
}

func measureAll(p pool, j *job) {
	var running sync.WaitGroup
	all := make([]tally, j.threads)
	gate := make(chan int64, j.threads)
	for i := range all {
		running.Add(1)
		go func(thread int) {
			defer running.Done()
			switch j.work {
			case "pair":
				pairs(p, thread, &all[thread])
			case "spike":
				once(p, thread, gate, &all[thread])
			default:
				timed(p, j, thread, &all[thread])
			}
		}(i)
	}
	time.Sleep(j.warm)
	begun, cpuBegun := now(), cpu()
	atomic.StoreInt32(&phase, measure)
	if j.work == "spike" {
		for range all {
			gate <- begun
		}
	} else {
		time.Sleep(j.run)
	}
	atomic.StoreInt32(&phase, stop)
	ns, cpuNs := now()-begun, cpu()-cpuBegun
	running.Wait()
	print(all, ns, cpuNs)
}

func main() {
	a := os.Args
	if len(a) > 1 && a[1] == "buckets" {
		printBuckets(a[2:])
		return
	}
	if len(a) != 8 {
		die("usage: go WORK THREADS CONNECTIONS HOLD_US WARM_MS RUN_MS VARIANT")
	}
	j := &job{work: a[1], threads: number(a[2]), connections: number(a[3]),
		hold: time.Duration(number(a[4])) * time.Microsecond,
		warm: time.Duration(number(a[5])) * time.Millisecond,
		run:  time.Duration(number(a[6])) * time.Millisecond, url: os.Getenv("DATABASE_URL")}
	var p pool
	switch a[7] {
	case "puddle":
		p = openPuddle(j)
	case "pgxpool":
		p = openPgxpool(j)
	case "raw":
		p = openRaw(j)
	default:
		die("no such variant: " + a[7])
	}
	measureAll(p, j)
	p.close()
}
