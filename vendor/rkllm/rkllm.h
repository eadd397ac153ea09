/*
 * The C interface of Rockchip's RKLLM runtime, release 1.3.0, declared anew for rkllm-bench.
 *
 * Names, types, values and order are facts of that interface; every word of explanation is ours. The host
 * runtime implements these functions, and the guard is compiled against this file when no SDK is given.
 * README.md beside this file says what to re-check when the interface moves.
 */
#ifndef RKLLM_BENCH_VENDOR_RKLLM_H
#define RKLLM_BENCH_VENDOR_RKLLM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CPU choice, for RKLLMExtendParam.enabled_cpus_mask. */
#define CPU0 (1 << 0)
#define CPU1 (1 << 1)
#define CPU2 (1 << 2)
#define CPU3 (1 << 3)
#define CPU4 (1 << 4)
#define CPU5 (1 << 5)
#define CPU6 (1 << 6)
#define CPU7 (1 << 7)

#ifdef __cplusplus
extern "C" {
#endif

/* One loaded model. */
typedef void *LLMHandle;

/* What a call of the result callback stands for. */
typedef enum {
    RKLLM_RUN_NORMAL = 0,  /* a piece of output */
    RKLLM_RUN_WAITING = 1, /* the newest token ends inside a UTF-8 character; the text comes later */
    RKLLM_RUN_FINISH = 2,  /* the run has ended and `perf` is filled */
    RKLLM_RUN_ERROR = 3    /* the run failed */
} LLMCallState;

typedef enum {
    RKLLM_INPUT_PROMPT = 0,    /* UTF-8 text, wrapped in the chat template */
    RKLLM_INPUT_TOKEN = 1,     /* token ids, taken as they are */
    RKLLM_INPUT_EMBED = 2,     /* float embeddings */
    RKLLM_INPUT_MULTIMODAL = 3 /* text with image or video embeddings */
} RKLLMInputType;

typedef enum {
    RKLLM_INFER_GENERATE = 0,
    RKLLM_INFER_GET_LAST_HIDDEN_LAYER = 1,
    RKLLM_INFER_GET_LOGITS = 2
} RKLLMInferMode;

/* Fills `embed` (`len` bytes = tokens x width x 4) for a model without an embedding layer; 0 when done. */
typedef int (*LLMGetEmbedCallback)(void *userdata, int32_t *tokens, uint64_t num_tokens, void *embed, uint64_t len);

/* Tokenizes `text` for a model without a tokenizer; gives the count, negative when it failed. */
typedef int (*LLMTokenizerCallback)(void *userdata, const char *text, int32_t text_len, int32_t *tokens,
                                    int32_t n_tokens_max);

typedef struct {
    int32_t base_domain_id;     /* first NPU memory domain */
    int8_t embed_flash;         /* 1: fetch embedding rows from storage */
    int8_t enabled_cpus_num;    /* how many CPU cores work */
    uint32_t enabled_cpus_mask; /* which ones, by the CPUn bits */
    uint8_t n_batch;            /* sequences side by side */
    int8_t use_cross_attn;      /* 1: cross attention */
    uint8_t reserved[104];      /* as delivered by rkllm_createDefaultParam */
} RKLLMExtendParam;

typedef struct {
    const char *model_path;
    int32_t max_context_len; /* window, in tokens */
    int32_t max_new_tokens;  /* cap on the tokens a run generates */
    int32_t top_k;           /* 1: greedy */
    int32_t n_keep;          /* cache entries kept in front when the window shifts */
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t mirostat; /* 0 off, else the version of the algorithm */
    float mirostat_tau;
    float mirostat_eta;
    bool skip_special_token; /* no text for special tokens */
    bool ignore_eos_token;   /* go on past an end token */
    bool is_async;
    RKLLMExtendParam extend_param;
} RKLLMParam;

typedef struct {
    const char *lora_adapter_path;
    const char *lora_adapter_name;
    float scale;
} RKLLMLoraAdapter;

typedef struct {
    float *embed; /* n_tokens rows */
    size_t n_tokens;
} RKLLMEmbedInput;

typedef struct {
    int32_t *input_ids;
    size_t n_tokens;
} RKLLMTokenInput;

typedef struct {
    char *prompt;
    struct {
        float *image_embed; /* images x tokens x width */
        size_t n_image_tokens;
        size_t n_image;
        const char *image_start;
        const char *image_end;
        const char *image_content;
        size_t image_width;
        size_t image_height;
    } image;
    struct {
        float *video_embed; /* videos x frames x tokens x width */
        size_t n_frame_tokens;
        size_t n_frame_per_video;
        size_t n_video;
        const char *video_start;
        const char *video_end;
        const char *video_content;
        size_t frame_width;
        size_t frame_height;
    } video;
} RKLLMMultiModalInput;

typedef struct {
    const char *role; /* "user", or "tool" for the result of a function */
    bool enable_thinking;
    RKLLMInputType input_type;
    union {
        const char *prompt_input;
        RKLLMEmbedInput embed_input;
        RKLLMTokenInput token_input;
        RKLLMMultiModalInput multimodal_input;
    };
} RKLLMInput;

typedef struct {
    const char *lora_adapter_name;
} RKLLMLoraParam;

typedef struct {
    int save_prompt_cache; /* 1: write the prompt's cache to a file in this run */
    const char *prompt_cache_path;
} RKLLMPromptCacheParam;

typedef struct {
    float *encoder_k_cache; /* layers, tokens, kv heads, head width */
    float *encoder_v_cache; /* layers, kv heads, head width, tokens */
    float *encoder_mask;
    int32_t *encoder_pos;
    int num_tokens;
} RKLLMCrossAttnParam;

/* Replaces all nine sampling values of RKLLMParam for one run. */
typedef struct {
    int32_t top_k;
    float top_p;
    float temperature;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t mirostat;
    float mirostat_tau;
    float mirostat_eta;
} RKLLMSamplingParam;

typedef struct {
    RKLLMInferMode mode;
    RKLLMLoraParam *lora_params;                /* NULL: none */
    RKLLMPromptCacheParam *prompt_cache_params; /* NULL: none */
    RKLLMSamplingParam *sampling_params;        /* NULL: as at init */
    int keep_history;                           /* 1: this turn stays in the context */
    int32_t max_new_tokens;                     /* zero or less: as at init */
} RKLLMInferParam;

typedef struct {
    const float *hidden_states; /* num_tokens rows of embd_size */
    int embd_size;
    int num_tokens;
} RKLLMResultLastHiddenLayer;

typedef struct {
    const float *logits; /* num_tokens rows of vocab_size */
    int vocab_size;
    int num_tokens;
} RKLLMResultLogits;

typedef struct {
    float prefill_time_ms;
    int prefill_tokens; /* those computed: the prompt less a reused prefix */
    float generate_time_ms;
    int generate_tokens;
    float memory_usage_mb; /* peak resident set of the process */
} RKLLMPerfStat;

typedef struct {
    const char *text; /* may be NULL */
    int32_t token_id;
    RKLLMResultLastHiddenLayer last_hidden_layer;
    RKLLMResultLogits logits;
    RKLLMPerfStat perf; /* at RKLLM_RUN_FINISH only */
} RKLLMResult;

/* Called for each token and at the end. Return 0 to go on, 1 to pause, 2 to release the output buffer. */
typedef int (*LLMResultCallback)(RKLLMResult *result, void *userdata, LLMCallState state);

typedef struct {
    LLMResultCallback result_callback;
    void *result_userdata; /* used when the run's own userdata is NULL */
    LLMTokenizerCallback tokenizer_callback;
    void *tokenizer_userdata;
    LLMGetEmbedCallback embed_callback;
    void *embed_userdata;
} RKLLMCallback;

/* All return 0 on success and another value on failure, but for the first and rkllm_is_running (1: it runs). */
RKLLMParam rkllm_createDefaultParam(void);
int rkllm_init(LLMHandle *handle, RKLLMParam *param, RKLLMCallback *callback);
int rkllm_load_lora(LLMHandle handle, RKLLMLoraAdapter *lora_adapter);
int rkllm_load_prompt_cache(LLMHandle handle, const char *prompt_cache_path);
int rkllm_release_prompt_cache(LLMHandle handle);
int rkllm_destroy(LLMHandle handle);
int rkllm_run(LLMHandle handle, RKLLMInput *rkllm_input, RKLLMInferParam *rkllm_infer_params, void *userdata);
int rkllm_run_async(LLMHandle handle, RKLLMInput *rkllm_input, RKLLMInferParam *rkllm_infer_params, void *userdata);
int rkllm_abort(LLMHandle handle);
int rkllm_is_running(LLMHandle handle);
/* With both positions NULL everything goes, save the system prompt when keep_system_prompt is 1. */
int rkllm_clear_kv_cache(LLMHandle handle, int keep_system_prompt, int *start_pos, int *end_pos);
int rkllm_get_kv_cache_size(LLMHandle handle, int *cache_sizes);
int rkllm_set_chat_template(LLMHandle handle, const char *system_prompt, const char *prompt_prefix,
                            const char *prompt_postfix);
int rkllm_set_function_tools(LLMHandle handle, const char *system_prompt, const char *tools,
                             const char *tool_response_str);
int rkllm_set_cross_attn_params(LLMHandle handle, RKLLMCrossAttnParam *cross_attn_params);

#ifdef __cplusplus
}
#endif

#endif
