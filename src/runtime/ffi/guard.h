/*
 * The guard: the only way from Rust into the RKLLM runtime.
 *
 * It includes the `rkllm.h` in use and hides the differences between SDK generations behind the plain types below,
 * which are the same for all generations. No RKLLM struct crosses into Rust. Every entry catches C++ exceptions,
 * checks its pointers, clears its out-parameters first and returns a status.
 */
#ifndef RKB_GUARD_H
#define RKB_GUARD_H

/* No release's header is self-contained: it needs these two before it. */
#include <stddef.h>
#include <stdint.h>

#include "rkllm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Status of each entry. */
enum {
    RKB_OK = 0,
    RKB_RUNTIME_FAILED = 1, /* the runtime returned non-zero: rkb_failure.code */
    RKB_EXCEPTION = 2,      /* a C++ exception left the runtime: rkb_failure.message */
    RKB_BAD_ARGUMENT = 3,   /* an unexpected NULL, or a closed session */
    RKB_ABSENT = 4,         /* this generation of the runtime has no such function */
    RKB_OTHER_LAYOUT = 5    /* the library's structs are not those of the header: rkb_failure.message */
};

/* Why an entry failed. `message` is NUL-terminated; it is empty if the runtime gave none. */
typedef struct {
    int32_t code;
    char message[252];
} rkb_failure;

/* The abilities that the header in use declares; 1 is yes. */
typedef struct {
    /* "1.1", "1.2.0", "1.2.1b1", "1.2.1" (also 1.2.2 and 1.2.3), "1.3.0", "1.3.1", or "unknown" */
    const char *generation;
    uint8_t perf;
    uint8_t clear_kv_cache;
    uint8_t kv_cache_size;
    uint8_t chat_template;
    uint8_t keep_history;
    uint8_t ignore_eos;
    uint8_t new_tokens_per_run;
    uint8_t sampling_per_run;
    uint8_t cpu_choice;
    uint8_t embed_flash;
    uint8_t prompt_cache; /* of the library; every header declares it */
} rkb_abilities;

/* How a token is chosen. */
typedef struct {
    int32_t top_k;
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
} rkb_sampling;

/* Parameters of a load. rkb_default_params sets fields that the generation lacks to 0, and rkb_open ignores them. */
typedef struct {
    const char *model_path;
    int32_t max_context_len; /* tokens */
    int32_t max_new_tokens;  /* tokens a run */
    rkb_sampling sampling;
    uint8_t skip_special_token;
    uint8_t ignore_eos;
    uint8_t embed_flash;
    uint8_t cpu_count; /* 0: the runtime decides */
    uint32_t cpu_mask; /* bit n: CPU n; 0: the runtime decides */
    int32_t base_domain_id; /* first NPU memory domain */
} rkb_params;

/* The runtime's own statistics, as delivered. */
typedef struct {
    float prefill_time_ms;
    int32_t prefill_tokens;
    float generate_time_ms;
    int32_t generate_tokens;
    float memory_usage_mb;
} rkb_stats;

/* One callback of the runtime. The pointers live until the handler returns. */
typedef struct {
    uint64_t at_ns; /* CLOCK_MONOTONIC, taken before anything else */
    int32_t state;  /* LLMCallState */
    int32_t token_id;
    const char *text; /* may lack a terminating NUL; NULL without text */
    size_t text_len;  /* bytes */
    const rkb_stats *stats; /* at RKLLM_RUN_FINISH if the generation has them, else NULL */
    uint8_t other_thread;   /* 1: on a different thread than rkb_run */
} rkb_event;

/* Must not throw or unwind. */
typedef void (*rkb_on_event)(void *context, const rkb_event *event);

/* One run. Exactly one of `text` (NUL-terminated UTF-8) and `tokens` is not NULL. */
typedef struct {
    const char *text;
    const int32_t *tokens;
    size_t n_tokens;
    int32_t max_new_tokens;       /* 0: as at init; ignored if it cannot be set for a run */
    const rkb_sampling *sampling; /* NULL: as at init; ignored if it cannot be set for a run */
    uint8_t keep_history;         /* 1: the run stays in the KV cache; needs the ability of that name */
    const char *save_prompt_cache; /* file for the prompt's KV cache; NULL: none */
} rkb_run_request;

/* How a run went. Stamps are CLOCK_MONOTONIC nanoseconds right before the call and right after the return. */
typedef struct {
    uint64_t call_ns;
    uint64_t return_ns;
} rkb_run_outcome;

/* A loaded model. Its control block is never freed, so that a callback after destroy finds it closed. After 64 later
 * models, another model uses the block. */
typedef struct rkb_session rkb_session;

const rkb_abilities *rkb_header_abilities(void);
uint64_t rkb_now_ns(void);
/* Flushes C's stdio, which may still hold the runtime's log. */
void rkb_flush_stdio(void);
/* An address in the loaded library, for dladdr. */
const void *rkb_library_address(void);

int32_t rkb_default_params(rkb_params *out, rkb_failure *why);
int32_t rkb_open(const rkb_params *params, rkb_session **out, rkb_failure *why);
int32_t rkb_close(rkb_session *session, rkb_failure *why);
/* Blocks. Calls the handler on this thread or on a thread of the runtime, never after the return. */
int32_t rkb_run(rkb_session *session, const rkb_run_request *request, rkb_on_event handler, void *context,
                rkb_run_outcome *out, rkb_failure *why);
/* The only entry that may be called during rkb_run. */
int32_t rkb_abort(rkb_session *session, rkb_failure *why);
int32_t rkb_clear_kv_cache(rkb_session *session, rkb_failure *why);
/* Number of positions of the first sequence. */
int32_t rkb_kv_cache_size(rkb_session *session, int32_t *out, rkb_failure *why);
/* Later runs whose prompts start with the file's tokens use them, until it is released. */
int32_t rkb_load_prompt_cache(rkb_session *session, const char *path, rkb_failure *why);
int32_t rkb_release_prompt_cache(rkb_session *session, rkb_failure *why);
int32_t rkb_set_chat_template(rkb_session *session, const char *system_prompt, const char *prefix,
                              const char *postfix, rkb_failure *why);
/* Number of callbacks so far that came after the return of their run, also during a later run. */
uint64_t rkb_late_callbacks(const rkb_session *session);

#ifdef __cplusplus
}
#endif

#endif
