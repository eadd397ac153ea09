// A librkllmrt.so for tests: the API of any generation without a model behind it.
//
// It stands in for an SDK's library where the question is which library runs, what a generation asks of its callers, and
// what a faulty one does; it measures nothing. At compile time STUB_VERSION is its release and STUB_GENERATION that
// release as a number: 110, 120, 121 (to 1.2.3), 130, 131, or 140 for one that does not exist.
//
// STUB_SCRIPT in the environment names a file that says what goes wrong, a line each:
//
//     <call> <n> <fault> [<model>]   in every n-th <call> of a process: params, init, run, abort, clear, size, load, release, destroy;
//                                    with <model> only where the model's path contains that
//     version <version>              init prints another version than its own
//     platform <name>                init prints another platform than STUB
//     npu-cores <n>                  init prints for how many NPU cores the model was converted
//     toolkit <version>              init prints by which toolkit
//     received <file>                init writes what it was given into a file: domain, embed_flash, CPUs and their mask (-: not
//                                in the struct), context
//     eos <n>                        the model ends its answer after n tokens
//     pace <prefill us> <token us>   how long it takes at least: 3000 for a prompt and 100 for a token unless set
//
// Faults of every call: segv, abort, exit, throw, hang (an abort does not end it), oom, garbage (megabytes on both
// streams, then it goes on), refuse (-1). Of init: lies (0, and no handle), hollow (0 without a model: the first run
// aborts), fat (200 MB of memory), late (half a second). Of run: slow (an abort ends it), error, no-finish, pause, stale, warm, nan, no-perf, no-text, thread, late,
// no-cache (a prompt cache that is to be saved is not, and nothing said of it), duplicate (a token comes twice, and one fewer is made: the count fits), split (a character in two callbacks).
#include <stddef.h>
#include <stdint.h>

#include "rkllm.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

// What a program that reads the file instead of loading it looks for.
__attribute__((used)) const char sdk_version[] = "RKLLM SDK (version: " STUB_VERSION ")";

using Clock = std::chrono::steady_clock;

struct Perf {
    float prefill_time_ms = 0;
    int prefill_tokens = 0;
    float generate_time_ms = 0;
    int generate_tokens = 0;
};

struct Model {
    LLMResultCallback callback = nullptr;
    void *userdata = nullptr;
    int32_t max_new_tokens = 0;
    bool ignore_eos = false;
    bool hollow = false;
    // A callback returned 1: the next run goes on with the old answer, until an abort.
    bool paused = false;
    // What the KV cache holds, how much of that are kept turns, and what a loaded prompt cache holds: ids, or bytes of text.
    std::vector<int32_t> held;
    size_t history = 0;
    std::vector<int32_t> saved;
    std::atomic<bool> aborted{false};
    Perf last;
};

float ms_since(Clock::time_point start) {
    return std::chrono::duration<float, std::milli>(Clock::now() - start).count();
}

void wait_us(long us) { std::this_thread::sleep_for(std::chrono::microseconds(us)); }

// The script's lines, by their first word.
std::vector<std::vector<std::string>> script(const std::string &word) {
    std::vector<std::vector<std::string>> found;
    const char *path = std::getenv("STUB_SCRIPT");
    std::ifstream file(path == nullptr ? "/dev/null" : path);
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string first;
        std::vector<std::string> rest;
        words >> first;
        for (std::string next; words >> next;) {
            rest.push_back(next);
        }
        if (first == word) {
            found.push_back(rest);
        }
    }
    return found;
}

std::string setting(const std::string &word, const std::string &otherwise) {
    const auto lines = script(word);
    return lines.empty() ? otherwise : lines[0][0];
}

// Microseconds of a prompt (0) or of a token after the first (1).
long pace(size_t what) {
    const auto lines = script("pace");
    return lines.empty() ? (what == 0 ? 3000 : 100) : std::stol(lines[0].at(what));
}

[[noreturn]] void hang() {
    for (;;) {
        wait_us(1000000);
    }
}

void print_garbage() {
    const std::string line(4096, '#');
    for (int count = 0; count < 512; ++count) {
        std::printf("%s\n", line.c_str());
        std::fprintf(stderr, "\xff\xfe%s\n", line.c_str());
    }
}

// Ends the process, or throws, when the fault is of that kind.
void suffer(const std::string &fault) {
    if (fault == "segv") {
        std::puts("E rkllm: about to touch memory that is not there");
        std::fflush(stdout);
        *static_cast<volatile int *>(nullptr) = 0;
    } else if (fault == "abort") {
        std::fputs("GGML_ASSERT: stub.c:1: the stub aborts\n", stderr);
        std::abort();
    } else if (fault == "exit") {
        std::_Exit(7);
    } else if (fault == "throw") {
        throw std::runtime_error("thrown by the stub");
    } else if (fault == "hang") {
        hang();
    } else if (fault == "oom") {
        std::raise(SIGKILL); // as the kernel does when memory is short
    } else if (fault == "garbage") {
        print_garbage();
    }
}

// Path of the model that was loaded last.
std::string model_path;

// The fault of this call, empty when it is to go well. Faults of run take effect in its middle.
std::string fault_of(const std::string &call) {
    static std::map<std::string, long> calls;
    const long now = ++calls[call];
    for (const auto &line : script(call)) {
        const bool meant = line.size() < 3 || model_path.find(line[2]) != std::string::npos;
        if (meant && now % std::stol(line[0]) == 0) {
            return line[1];
        }
    }
    return "";
}

int begin(const char *call) {
    const std::string fault = fault_of(call);
    suffer(fault);
    return fault == "refuse" ? -1 : 0;
}

std::vector<int32_t> tokens_of(const RKLLMInput &input) {
    if (input.input_type == RKLLM_INPUT_TOKEN) {
        return {input.token_input.input_ids, input.token_input.input_ids + input.token_input.n_tokens};
    }
    return {input.prompt_input, input.prompt_input + std::strlen(input.prompt_input)};
}

size_t common_prefix(const std::vector<int32_t> &a, const std::vector<int32_t> &b) {
    size_t common = 0;
    while (common < a.size() && common < b.size() && a[common] == b[common]) {
        ++common;
    }
    return common;
}

// Takes a prompt behind the kept turns into the KV cache and gives how many tokens that computes.
int prefill(Model &model, const RKLLMInput &input) {
    std::vector<int32_t> whole(model.held.begin(), model.held.begin() + static_cast<long>(model.history));
    const auto prompt = tokens_of(input);
    whole.insert(whole.end(), prompt.begin(), prompt.end());
    const size_t reused = std::max(common_prefix(model.held, whole), common_prefix(model.saved, whole));
    model.held = whole;
    return static_cast<int>(whole.size() - std::min(reused, whole.size() - 1));
}

// False when the file cannot be written.
bool save_cache(const Model &model, const RKLLMInferParam &infer) {
    if (infer.prompt_cache_params == nullptr || infer.prompt_cache_params->save_prompt_cache == 0) {
        return true;
    }
    std::ofstream file(infer.prompt_cache_params->prompt_cache_path);
    for (const int32_t token : model.held) {
        file << token << ' ';
    }
    return static_cast<bool>(file.flush());
}

void put_perf([[maybe_unused]] RKLLMResult &result, [[maybe_unused]] const Perf &perf) {
#if STUB_GENERATION >= 121
    result.perf.prefill_time_ms = perf.prefill_time_ms;
    result.perf.prefill_tokens = perf.prefill_tokens;
    result.perf.generate_time_ms = perf.generate_time_ms;
    result.perf.generate_tokens = perf.generate_tokens;
#endif
}

// Whether the callback asks for a pause; older generations have no way to say so.
bool deliver(LLMResultCallback callback, void *userdata, RKLLMResult &result, LLMCallState state) {
#if STUB_GENERATION >= 121
    return callback(&result, userdata, state) == 1;
#else
    callback(&result, userdata, state);
    return false;
#endif
}

// What this generation asks of its caller beyond a prompt.
bool is_well_formed([[maybe_unused]] const RKLLMInput &input) {
#if STUB_GENERATION >= 121
    if (input.role == nullptr || std::strcmp(input.role, "user") != 0) {
        std::puts("E rkllm: no role");
        return false;
    }
#endif
    return input.input_type == RKLLM_INPUT_PROMPT || input.input_type == RKLLM_INPUT_TOKEN;
}

// Whether the members that only an invented release has were left empty.
bool leaves_new_members_empty([[maybe_unused]] const RKLLMInput &input, [[maybe_unused]] const RKLLMInferParam &infer) {
#if STUB_GENERATION >= 140
    return input.name == nullptr && infer.grammar == nullptr;
#else
    return true;
#endif
}

int tokens_wanted(const Model &model, [[maybe_unused]] const RKLLMInferParam &infer) {
    int tokens = model.max_new_tokens;
#if STUB_GENERATION >= 130
    tokens = infer.max_new_tokens > 0 ? infer.max_new_tokens : tokens;
#endif
    const int eos = std::stoi(setting("eos", "0"));
    return eos > 0 && !model.ignore_eos && eos < tokens ? eos : tokens;
}

bool keeps_history([[maybe_unused]] const RKLLMInferParam &infer) {
#if STUB_GENERATION >= 120
    return infer.keep_history != 0;
#else
    return false;
#endif
}

// The tokens of a run; false when it ends without FINISH.
bool generate(Model &model, int tokens, void *userdata, const std::string &fault) {
    const long wait = pace(1);
    for (int token = 0; token < tokens && !model.aborted; ++token) {
        if (token > 0) {
            wait_us(wait);
        }
        RKLLMResult result{};
        result.text = fault == "no-text" ? nullptr : "stub ";
        if (fault == "split" && token / 2 == tokens / 4) {
            result.text = token % 2 == 0 ? "\xc3" : "\xa9 ";
        }
        result.token_id = token;
        if (fault == "duplicate" && token == tokens / 2) {
            deliver(model.callback, userdata, result, RKLLM_RUN_NORMAL);
            --tokens;
        }
        if (token == tokens / 2) {
            suffer(fault);
            if (fault == "error") {
                deliver(model.callback, userdata, result, RKLLM_RUN_ERROR);
                return false;
            }
        }
        if (deliver(model.callback, userdata, result, RKLLM_RUN_NORMAL) || (fault == "pause" && token == tokens / 2)) {
            model.paused = true;
            return false;
        }
    }
    return fault != "no-finish" && !model.aborted;
}

int run(Model &model, RKLLMInput &input, const RKLLMInferParam &infer, void *userdata) {
    const std::string fault = fault_of("run");
    if (model.hollow) {
        suffer("abort");
    }
    model.aborted = false;
    void *context = userdata != nullptr ? userdata : model.userdata;
    if (fault == "refuse" || !is_well_formed(input) || !leaves_new_members_empty(input, infer)) {
        return -1;
    }
    const int computed = prefill(model, input);
    if (fault != "no-cache" && !save_cache(model, infer)) {
        return -1;
    }
    const long wait = pace(0);
    const auto start = Clock::now();
    wait_us(wait);
    while (fault == "slow" && !model.aborted) {
        wait_us(500);
    }
    Perf perf;
    perf.prefill_tokens = fault == "warm" ? 1 : model.paused ? 0 : computed;
    perf.prefill_time_ms = perf.prefill_tokens == 0 ? 0 : ms_since(start);
    const auto first = Clock::now();
    const int tokens = tokens_wanted(model, infer);
    bool ended = false;
    if (fault == "thread") {
        std::thread([&] { ended = generate(model, tokens, context, ""); }).join();
    } else {
        ended = generate(model, tokens, context, fault);
    }
    model.history = keeps_history(infer) ? model.held.size() : model.history;
    perf.generate_tokens = tokens - (fault == "duplicate" ? 2 : 1);
    perf.generate_time_ms = fault == "nan" ? __builtin_nanf("") : ms_since(first);
    RKLLMResult end{};
    if (fault != "no-perf") {
        put_perf(end, fault == "stale" ? model.last : perf);
    }
    model.last = perf;
    if (ended) {
        deliver(model.callback, context, end, RKLLM_RUN_FINISH);
    }
    if (fault == "late") {
        // The model may be gone by then.
        std::thread([callback = model.callback, context] {
            wait_us(2000);
            RKLLMResult result{};
            deliver(callback, context, result, RKLLM_RUN_NORMAL);
        }).detach();
    }
    return 0;
}

int init(LLMHandle *handle, const RKLLMParam &param, LLMResultCallback callback, void *userdata) {
    std::printf("I rkllm: rkllm-runtime version: %s, rknpu driver version: 0.9.8, platform: %s\n",
                setting("version", STUB_VERSION).c_str(), setting("platform", "STUB").c_str());
    std::printf("I rkllm: rkllm-toolkit version: %s, max_context_limit: 4096, npu_core_num: %s, target_platform: STUB\n",
                setting("toolkit", "unknown").c_str(), setting("npu-cores", "none").c_str());
    model_path = param.model_path;
    const std::string fault = fault_of("init");
    suffer(fault);
    if (fault == "fat") {
        static std::vector<char> memory;
        memory.assign(200000000, 1);
    } else if (fault == "late") {
        wait_us(500000);
    }
    if (fault == "lies") {
        return 0;
    }
    if (fault == "refuse") {
        std::puts("E rkllm: invalid rkllm model!");
        return -1;
    }
#if STUB_GENERATION < 130
    // NULL crashes the init of 1.2.x.
    const volatile char marks = *param.img_start + *param.img_end + *param.img_content;
    (void)marks;
#endif
    if (const std::string path = setting("received", ""); !path.empty()) {
#if STUB_GENERATION >= 120
        const auto &extend = param.extend_param;
        const std::string later = std::to_string(extend.embed_flash) + ' ' + std::to_string(extend.enabled_cpus_num) + ' ' +
                                  std::to_string(extend.enabled_cpus_mask);
#else
        const std::string later = "- - -";
#endif
        std::ofstream(path) << param.extend_param.base_domain_id << ' ' << later << ' ' << param.max_context_len << '\n';
    }
    auto *model = new Model;
    model->callback = callback;
    model->userdata = userdata;
    model->max_new_tokens = param.max_new_tokens;
    model->hollow = fault == "hollow";
#if STUB_GENERATION >= 130
    model->ignore_eos = param.ignore_eos_token;
#endif
    *handle = model;
    return 0;
}

Model &of(LLMHandle handle) { return *static_cast<Model *>(handle); }

void clear(LLMHandle handle) {
    of(handle).held.clear();
    of(handle).history = 0;
}

} // namespace

extern "C" {

RKLLMParam rkllm_createDefaultParam(void) {
    begin("params");
    RKLLMParam param{};
    param.max_context_len = 1234; // told from the host runtime's default
    param.max_new_tokens = 16;
    param.top_k = 40;
    param.temperature = 0.8f;
#if STUB_GENERATION >= 120
    param.extend_param.enabled_cpus_num = 4;
#endif
    return param;
}

#if STUB_GENERATION >= 130
int rkllm_init(LLMHandle *handle, RKLLMParam *param, RKLLMCallback *callback) {
    return init(handle, *param, callback->result_callback, callback->result_userdata);
}
#else
int rkllm_init(LLMHandle *handle, RKLLMParam *param, LLMResultCallback callback) {
    return init(handle, *param, callback, nullptr);
}
#endif

int rkllm_destroy(LLMHandle handle) {
    const int code = begin("destroy");
    delete static_cast<Model *>(handle);
    return code;
}

int rkllm_run(LLMHandle handle, RKLLMInput *input, RKLLMInferParam *infer, void *userdata) {
    return run(of(handle), *input, *infer, userdata);
}

int rkllm_abort(LLMHandle handle) {
    of(handle).aborted = true;
    of(handle).paused = false;
    return begin("abort");
}

int rkllm_load_prompt_cache(LLMHandle handle, const char *path) {
    std::ifstream file(path);
    if (!file) {
        return -1;
    }
    of(handle).saved.assign(std::istream_iterator<int32_t>(file), {});
    return begin("load");
}

int rkllm_release_prompt_cache(LLMHandle handle) {
    const int code = begin("release");
    if (code == 0) {
        of(handle).saved.clear();
        clear(handle);
    }
    return code;
}

#if STUB_GENERATION >= 121
int rkllm_clear_kv_cache(LLMHandle handle, int, int *, int *) {
    clear(handle);
    return begin("clear");
}

int rkllm_get_kv_cache_size(LLMHandle handle, int *sizes) {
    sizes[0] = static_cast<int>(of(handle).held.size());
    return begin("size");
}
#elif STUB_GENERATION >= 120
int rkllm_clear_kv_cache(LLMHandle handle, int) {
    clear(handle);
    return begin("clear");
}
#endif

#if STUB_GENERATION >= 120
int rkllm_set_chat_template(LLMHandle, const char *, const char *, const char *) { return 0; }
#endif

} // extern "C"
