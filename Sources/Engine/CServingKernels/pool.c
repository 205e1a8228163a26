// Threads that take chunks off one counter.
//
// A run is published as a ticket, (run number << 32 | next chunk). A worker reads the ticket, then the run's fields,
// then takes a chunk by compare-and-swap on the ticket: if the run ended in between, the ticket has changed and the
// swap fails, so a worker that wakes late can never act on fields of another run. The caller never waits for a worker
// that has not taken a chunk, so a worker without a core delays nobody.
#define _GNU_SOURCE
#include "serving_kernels.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define NO_CHUNK 0xffffffffu

// Rounds of pause before a waiting worker starts to yield, and rounds of yield before it sleeps: about 20 and some
// 100 microseconds.
enum { PAUSE_ROUNDS = 600, YIELD_ROUNDS = 200 };

typedef struct {
    sk_pool *pool;
    int index;
    pthread_t thread;
} worker;

struct sk_pool {
    _Alignas(128) _Atomic uint64_t ticket;
    _Alignas(128) _Atomic uint32_t done;
    _Alignas(128) _Atomic(sk_pool_body) body;
    _Atomic(void *) context;
    _Atomic uint32_t chunk_count;
    _Alignas(128) _Atomic uint32_t wake;   // changes when there is something to wake up for
    _Atomic int sleeping;
    atomic_bool stopping;
    int thread_count;
    worker *workers;
#if !defined(__linux__)
    pthread_mutex_t mutex;
    pthread_cond_t condition;
#endif
};

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void sleep_until_changed(sk_pool *pool, uint32_t seen) {
#if defined(__linux__)
    syscall(SYS_futex, &pool->wake, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
#else
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->wake) == seen) pthread_cond_wait(&pool->condition, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
#endif
}

static void wake_sleepers(sk_pool *pool) {
#if defined(__linux__)
    atomic_fetch_add(&pool->wake, 1);
    if (atomic_load(&pool->sleeping) > 0)
        syscall(SYS_futex, &pool->wake, FUTEX_WAKE_PRIVATE, 0x7fffffff, NULL, NULL, 0);
#else
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->wake, 1);
    pthread_cond_broadcast(&pool->condition);
    pthread_mutex_unlock(&pool->mutex);
#endif
}

// Works on the run of `ticket` until its chunks are taken.
static void take_chunks(sk_pool *pool, int index) {
    for (;;) {
        uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
        uint32_t next = (uint32_t)ticket;
        if (next == NO_CHUNK) return;
        uint32_t count = atomic_load_explicit(&pool->chunk_count, memory_order_relaxed);
        sk_pool_body body = atomic_load_explicit(&pool->body, memory_order_relaxed);
        void *context = atomic_load_explicit(&pool->context, memory_order_relaxed);
        if (next >= count) return;
        atomic_thread_fence(memory_order_acquire);
        if (!atomic_compare_exchange_weak_explicit(
                &pool->ticket, &ticket, ticket + 1, memory_order_acq_rel, memory_order_relaxed))
            continue;
        body(context, (int)next, index);
        atomic_fetch_add_explicit(&pool->done, 1, memory_order_release);
    }
}

static void *worker_main(void *argument) {
    worker *self = argument;
    sk_pool *pool = self->pool;
    uint64_t idle_run = 0;   // the run this worker has nothing left to do for
    for (;;) {
        uint32_t seen = atomic_load(&pool->wake);
        for (int round = 0; round < PAUSE_ROUNDS + YIELD_ROUNDS; round++) {
            uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
            if ((uint32_t)ticket != NO_CHUNK && ticket >> 32 != idle_run) {
                take_chunks(pool, self->index);
                idle_run = ticket >> 32;
                seen = atomic_load(&pool->wake);
                round = 0;
            } else if (round < PAUSE_ROUNDS) {
                relax();
            } else {
                if (atomic_load_explicit(&pool->stopping, memory_order_relaxed)) return NULL;
                sched_yield();
            }
        }
        atomic_fetch_add(&pool->sleeping, 1);
        // A run published before `sleeping` rose may not have woken anyone: look once more.
        uint64_t ticket = atomic_load(&pool->ticket);
        if (((uint32_t)ticket == NO_CHUNK || ticket >> 32 == idle_run) && !atomic_load(&pool->stopping))
            sleep_until_changed(pool, seen);
        atomic_fetch_sub(&pool->sleeping, 1);
        if (atomic_load(&pool->stopping)) return NULL;
    }
}

sk_pool *sk_pool_create(int thread_count) {
    if (thread_count < 1) thread_count = 1;
    void *memory = NULL;
    if (posix_memalign(&memory, 128, sizeof(sk_pool)) != 0) return NULL;
    sk_pool *pool = memory;
    *pool = (sk_pool){.thread_count = 1};
    atomic_store(&pool->ticket, NO_CHUNK);
    pool->workers = calloc((size_t)thread_count, sizeof(worker));
    if (pool->workers == NULL) {
        free(pool);
        return NULL;
    }
#if !defined(__linux__)
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->condition, NULL);
#endif
    for (int i = 1; i < thread_count; i++) {
        worker *w = &pool->workers[i];
        w->pool = pool;
        w->index = i;
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) break;
        pool->thread_count = i + 1;
    }
    return pool;
}

void sk_pool_destroy(sk_pool *pool) {
    if (pool == NULL) return;
    atomic_store(&pool->stopping, true);
    wake_sleepers(pool);
    for (int i = 1; i < pool->thread_count; i++) pthread_join(pool->workers[i].thread, NULL);
#if !defined(__linux__)
    pthread_cond_destroy(&pool->condition);
    pthread_mutex_destroy(&pool->mutex);
#endif
    free(pool->workers);
    free(pool);
}

void sk_allowed_processors(uint8_t *mask, size_t byte_count) {
    memset(mask, 0, byte_count);
#if defined(__linux__)
    if (syscall(SYS_sched_getaffinity, 0, byte_count, mask) < 0) memset(mask, 0, byte_count);
#endif
}

int sk_pool_thread_count(const sk_pool *pool) { return pool->thread_count; }

void sk_pool_run(sk_pool *pool, int chunk_count, sk_pool_body body, void *context) {
    if (chunk_count <= 0) return;
    if (pool == NULL || chunk_count == 1 || pool->thread_count == 1) {
        for (int i = 0; i < chunk_count; i++) body(context, i, 0);
        return;
    }
    uint64_t run = (atomic_load_explicit(&pool->ticket, memory_order_relaxed) >> 32) + 1;
    atomic_store_explicit(&pool->ticket, run << 32 | NO_CHUNK, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&pool->body, body, memory_order_relaxed);
    atomic_store_explicit(&pool->context, context, memory_order_relaxed);
    atomic_store_explicit(&pool->chunk_count, (uint32_t)chunk_count, memory_order_relaxed);
    atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
    atomic_store(&pool->ticket, (run + 1) << 32);
    if (atomic_load(&pool->sleeping) > 0) wake_sleepers(pool);
    take_chunks(pool, 0);
    int round = 0;
    while (atomic_load_explicit(&pool->done, memory_order_acquire) < (uint32_t)chunk_count) {
        if (++round < 4 * PAUSE_ROUNDS) relax();
        else sched_yield();
    }
}
