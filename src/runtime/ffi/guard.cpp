// See guard.h. `requires` inside templates finds out what a generation declares. There are no version macros: no
// release of the header has one.
#include "guard.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <exception>
#include <iterator>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>

#ifdef RKB_SHARED_LIBRARY
// A library older than the header lacks these. The program must start anyway, to report that. It calls none of them
// before the library's version was compared with the header's.
#pragma weak rkllm_clear_kv_cache
#pragma weak rkllm_get_kv_cache_size
#pragma weak rkllm_set_chat_template
#pragma weak rkllm_load_prompt_cache
#pragma weak rkllm_release_prompt_cache
#endif

// The userdata of a run. Each run has its own, to distinguish callbacks of an earlier run from those of the current
// run.
struct ticket {
    rkb_session *session = nullptr;
};

struct rkb_session {
    rkb_session() {
        any.session = this;
        for (ticket &each : tickets) {
            each.session = this;
        }
    }

    LLMHandle handle = nullptr;
    // Held while a callback is handled and while a run begins or ends, so that no callback is in progress when rkb_run
    // returns.
    std::mutex gate;
    rkb_on_event handler = nullptr; // set during a run only
    void *context = nullptr;
    std::thread::id caller;           // of the current run
    ticket tickets[64];               // used in turn; a callback 64 runs late would not be noticed
    size_t runs = 0;
    const ticket *current = nullptr;  // of the current run
    ticket any;                       // for runtimes that have only the userdata of init
    std::atomic<uint64_t> late{0};
    // The runtime may keep the pointers of init.
    std::string model_path;
    void *callbacks = nullptr;
};

namespace {

// Closed sessions, oldest first. A callback after destroy finds its session closed, until enough others were closed
// too. Then the block is used again; otherwise each load would leak one.
constexpr size_t kept_sessions = 64;
std::mutex closed_gate;
std::deque<rkb_session *> closed_sessions;

rkb_session *take_session() {
    const std::lock_guard<std::mutex> hold(closed_gate);
    if (closed_sessions.size() < kept_sessions) {
        return new rkb_session;
    }
    rkb_session *session = closed_sessions.front();
    closed_sessions.pop_front();
    session->late = 0;
    return session;
}

void give_back(rkb_session *session) {
    session->handle = nullptr;
    const std::lock_guard<std::mutex> hold(closed_gate);
    closed_sessions.push_back(session);
}

uint64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

int32_t fail(rkb_failure *why, int32_t status, int32_t code, const char *message) {
    if (why != nullptr) {
        why->code = code;
        std::snprintf(why->message, sizeof why->message, "%s", message);
    }
    return status;
}

// Runs `body`, which returns the runtime's return code, and turns every result and exception into a status.
template <class Body> int32_t guarded(rkb_failure *why, Body body) {
    fail(why, RKB_OK, 0, "");
    try {
        const int code = body();
        return code == 0 ? RKB_OK : fail(why, RKB_RUNTIME_FAILED, code, "");
    } catch (const std::exception &error) {
        return fail(why, RKB_EXCEPTION, 0, error.what());
    } catch (...) {
        return fail(why, RKB_EXCEPTION, 0, "an exception that is not a std::exception");
    }
}

int32_t closed(rkb_failure *why) {
    return fail(why, RKB_BAD_ARGUMENT, 0, "the session is closed or was never opened");
}

// ---- declarations of the header in use ----

// Sizes of a generation's structs. Each generation changed at least one of them.
struct layout {
    const char *generation;
    size_t param, input, infer, result;
};

// For the data models of aarch64 and of 32-bit ARM.
constexpr layout layouts_64[] = {{"1.1", 200, 32, 24, 32},     {"1.2.0", 208, 32, 32, 48},  {"1.2.1b1", 208, 56, 32, 48},
                                 {"1.2.1", 208, 64, 32, 72},   {"1.3.0", 184, 160, 40, 72}};
constexpr layout layouts_32[] = {{"1.1", 180, 16, 12, 20},     {"1.2.0", 188, 16, 16, 32},  {"1.2.1b1", 188, 28, 16, 32},
                                 {"1.2.1", 188, 36, 16, 52},   {"1.3.0", 176, 84, 24, 52}};

template <class Param, class Result, class Input, class Infer> constexpr const char *generation_of_header() {
    for (const layout &known : sizeof(void *) == 8 ? layouts_64 : layouts_32) {
        if (sizeof(Param) != known.param || sizeof(Infer) != known.infer || sizeof(Result) != known.result) {
            continue;
        }
        if (sizeof(Input) == known.input) {
            return known.generation;
        }
        // 1.3.1 is 1.3.0 with a larger input struct. Its size is known only from reports.
        if (requires(Input i) { i.multimodal_input.audio; } && std::string_view(known.generation) == "1.3.0") {
            return "1.3.1";
        }
    }
    return "unknown";
}

// The three functions that older generations lack or declare differently. `Handle` makes the names dependent, so that
// an absent function is not a compile error.
template <class Handle> constexpr bool clears_by_range =
    requires(Handle h, int *p) { rkllm_clear_kv_cache(h, 0, p, p); };
template <class Handle> constexpr bool clears_whole = requires(Handle h) { rkllm_clear_kv_cache(h, 0); };
template <class Handle> constexpr bool tells_size = requires(Handle h, int *p) { rkllm_get_kv_cache_size(h, p); };
template <class Handle> constexpr bool sets_template =
    requires(Handle h, const char *s) { rkllm_set_chat_template(h, s, s, s); };

// Every header declares these two, so only a library can lack them.
bool has_prompt_cache() {
#ifdef RKB_SHARED_LIBRARY
    return rkllm_load_prompt_cache != nullptr && rkllm_release_prompt_cache != nullptr;
#else
    return true;
#endif
}

template <class Param, class Result, class Input, class Infer, class Handle> rkb_abilities abilities_of_header() {
    rkb_abilities can{};
    can.generation = generation_of_header<Param, Result, Input, Infer>();
    can.perf = requires(Result r) { r.perf; };
    can.clear_kv_cache = clears_by_range<Handle> || clears_whole<Handle>;
    can.kv_cache_size = tells_size<Handle>;
    can.chat_template = sets_template<Handle>;
    can.keep_history = requires(Infer i) { i.keep_history; };
    can.ignore_eos = requires(Param p) { p.ignore_eos_token; };
    can.new_tokens_per_run = requires(Infer i) { i.max_new_tokens; };
    can.sampling_per_run = requires(Infer i) { i.sampling_params; };
    can.cpu_choice = requires(Param p) { p.extend_param.enabled_cpus_mask; };
    can.embed_flash = requires(Param p) { p.extend_param.embed_flash; };
    can.prompt_cache = has_prompt_cache();
    return can;
}

// ---- callbacks ----

template <class Result> bool stats_of(const Result &result, rkb_stats &out) {
    if constexpr (requires { result.perf; }) {
        out = {result.perf.prefill_time_ms, result.perf.prefill_tokens, result.perf.generate_time_ms,
               result.perf.generate_tokens, result.perf.memory_usage_mb};
        return true;
    } else {
        return false;
    }
}

void deliver(const RKLLMResult *result, void *userdata, LLMCallState state, uint64_t at_ns) {
    const auto *mine = static_cast<const ticket *>(userdata);
    if (mine == nullptr) {
        return; // the runtime lost its userdata: there is no session to report to
    }
    rkb_session *session = mine->session;
    const std::lock_guard<std::mutex> hold(session->gate);
    if (session->handler == nullptr || (mine != &session->any && mine != session->current)) {
        session->late.fetch_add(1);
        return;
    }
    rkb_event event{};
    rkb_stats stats{};
    event.at_ns = at_ns;
    event.state = static_cast<int32_t>(state);
    event.token_id = -1;
    event.other_thread = std::this_thread::get_id() != session->caller;
    if (result != nullptr) {
        event.token_id = result->token_id;
        event.text = result->text;
        event.text_len = result->text == nullptr ? 0 : std::strlen(result->text);
        if (state == RKLLM_RUN_FINISH && stats_of(*result, stats)) {
            event.stats = &stats;
        }
    }
    session->handler(session->context, &event);
}

// The result callback in its two forms: void up to 1.2.1b1, int from 1.2.1 on. It always returns 0, "continue".
template <class Function> struct trampoline;
template <class R> struct trampoline<R (*)(RKLLMResult *, void *, LLMCallState)> {
    static R call(RKLLMResult *result, void *userdata, LLMCallState state) {
        const uint64_t at_ns = now_ns();
        deliver(result, userdata, state, at_ns);
        if constexpr (!std::is_void_v<R>) {
            return 0;
        }
    }
};

// The third argument of rkllm_init is the callback itself up to 1.2.3 and a struct of callbacks from 1.3.0 on.
template <class Param, class Third>
int call_init(int (*init)(LLMHandle *, Param, Third), rkb_session &session, RKLLMParam &param) {
    if constexpr (std::is_class_v<std::remove_pointer_t<Third>>) {
        using Callbacks = std::remove_cv_t<std::remove_pointer_t<Third>>;
        if (session.callbacks == nullptr) {
            session.callbacks = new Callbacks;
        }
        auto *callbacks = static_cast<Callbacks *>(session.callbacks);
        *callbacks = {};
        callbacks->result_callback = &trampoline<decltype(callbacks->result_callback)>::call;
        callbacks->result_userdata = &session.any;
        return init(&session.handle, &param, callbacks);
    } else {
        return init(&session.handle, &param, &trampoline<Third>::call);
    }
}

// ---- conversion between our plain structs and the generation's ----

// RKLLMParam and, from 1.3.0 on, RKLLMSamplingParam use the same names for these fields.
template <class From> rkb_sampling read_sampling(const From &from) {
    return {from.top_k,          from.top_p,           from.temperature,
            from.repeat_penalty, from.frequency_penalty, from.presence_penalty};
}

template <class To> void write_sampling(const rkb_sampling &from, To &to) {
    to.top_k = from.top_k;
    to.top_p = from.top_p;
    to.temperature = from.temperature;
    to.repeat_penalty = from.repeat_penalty;
    to.frequency_penalty = from.frequency_penalty;
    to.presence_penalty = from.presence_penalty;
}

// The library writes its own RKLLMParam as return value. There is room for a larger struct than the header's, filled
// with a pattern that shows which bytes were written.
class default_param {
  public:
    default_param() {
        for (volatile unsigned char &byte : beyond()) {
            byte = untouched;
        }
        new (room) RKLLMParam(rkllm_createDefaultParam()); // in place, so that the library gets this address
    }

    RKLLMParam &get() { return *std::launder(reinterpret_cast<RKLLMParam *>(room)); }

    // Number of bytes that the library wrote behind the header's struct.
    size_t excess() {
        size_t last = 0, index = 0;
        for (const volatile unsigned char &byte : beyond()) {
            ++index;
            last = byte == untouched ? last : index;
        }
        return last;
    }

  private:
    static constexpr unsigned char untouched = 0xa5;
    static constexpr size_t spare = 1024;
    using spare_bytes = volatile unsigned char[spare];

    // Volatile, because the compiler may assume that a call writes only its return value.
    spare_bytes &beyond() { return *reinterpret_cast<spare_bytes *>(room + sizeof(RKLLMParam)); }

    alignas(RKLLMParam) unsigned char room[sizeof(RKLLMParam) + spare] = {};
};

int32_t other_layout(rkb_failure *why, size_t excess) {
    const std::string message = "rkllm_createDefaultParam wrote " + std::to_string(excess) +
                                " bytes past the RKLLMParam of the header, which has " + std::to_string(sizeof(RKLLMParam));
    return fail(why, RKB_OTHER_LAYOUT, 0, message.c_str());
}

template <class Param> void read_params(const Param &from, rkb_params &to) {
    to.max_context_len = from.max_context_len;
    to.max_new_tokens = from.max_new_tokens;
    to.sampling = read_sampling(from);
    to.skip_special_token = from.skip_special_token;
    to.base_domain_id = from.extend_param.base_domain_id;
    if constexpr (requires { from.ignore_eos_token; }) {
        to.ignore_eos = from.ignore_eos_token;
    }
    if constexpr (requires { from.extend_param.embed_flash; }) {
        to.embed_flash = from.extend_param.embed_flash != 0;
    }
    if constexpr (requires { from.extend_param.enabled_cpus_mask; }) {
        to.cpu_count = static_cast<uint8_t>(from.extend_param.enabled_cpus_num);
        to.cpu_mask = from.extend_param.enabled_cpus_mask;
    }
}

template <class Param> void write_params(const rkb_params &from, Param &to) {
    to.max_context_len = from.max_context_len;
    to.max_new_tokens = from.max_new_tokens;
    write_sampling(from.sampling, to);
    to.skip_special_token = from.skip_special_token != 0;
    to.is_async = false;
    to.extend_param.base_domain_id = from.base_domain_id;
    if constexpr (requires { to.ignore_eos_token; }) {
        to.ignore_eos_token = from.ignore_eos != 0;
    }
    if constexpr (requires { to.img_start; }) {
        // NULL in one of these crashes init of 1.2.x.
        to.img_start = to.img_end = to.img_content = "";
    }
    if constexpr (requires { to.extend_param.embed_flash; }) {
        to.extend_param.embed_flash = from.embed_flash != 0;
    }
    if constexpr (requires { to.extend_param.enabled_cpus_mask; }) {
        if (from.cpu_count != 0) {
            to.extend_param.enabled_cpus_num = static_cast<int8_t>(from.cpu_count);
        }
        if (from.cpu_mask != 0) {
            to.extend_param.enabled_cpus_mask = from.cpu_mask;
        }
    }
}

template <class Input> void write_input(const rkb_run_request &from, Input &to) {
    if constexpr (requires { to.role; }) {
        to.role = "user";
    }
    if (from.tokens != nullptr) {
        to.input_type = RKLLM_INPUT_TOKEN;
        // The API takes a pointer to non-const; the runtime only reads.
        to.token_input.input_ids = const_cast<int32_t *>(from.tokens);
        to.token_input.n_tokens = from.n_tokens;
    } else {
        to.input_type = RKLLM_INPUT_PROMPT;
        // `char *` in the union of some generations, `const char *` in others.
        to.prompt_input = const_cast<char *>(from.text);
    }
}

// The targets of the pointers in `to`, for the duration of a run.
template <class Infer> struct infer_parts {
    RKLLMPromptCacheParam cache;
};
template <class Infer>
    requires requires(Infer i) { i.sampling_params; }
struct infer_parts<Infer> {
    RKLLMPromptCacheParam cache;
    std::remove_pointer_t<decltype(Infer::sampling_params)> sampling;
};

template <class Infer> void write_infer(const rkb_run_request &from, Infer &to, infer_parts<Infer> &parts) {
    to.mode = RKLLM_INFER_GENERATE;
    if (from.save_prompt_cache != nullptr) {
        parts.cache = {};
        parts.cache.save_prompt_cache = 1;
        parts.cache.prompt_cache_path = from.save_prompt_cache;
        to.prompt_cache_params = &parts.cache;
    }
    if constexpr (requires { to.keep_history; }) {
        to.keep_history = from.keep_history;
    }
    if constexpr (requires { to.max_new_tokens; }) {
        to.max_new_tokens = from.max_new_tokens;
    }
    if constexpr (requires { to.sampling_params; }) {
        if (from.sampling != nullptr) {
            parts.sampling = {};
            write_sampling(*from.sampling, parts.sampling);
            to.sampling_params = &parts.sampling;
        }
    }
}

template <class Handle> int32_t clear_cache(Handle handle, rkb_failure *why) {
    if constexpr (clears_by_range<Handle>) {
        return guarded(why, [&] { return rkllm_clear_kv_cache(handle, 0, nullptr, nullptr); });
    } else if constexpr (clears_whole<Handle>) {
        return guarded(why, [&] { return rkllm_clear_kv_cache(handle, 0); });
    } else {
        return fail(why, RKB_ABSENT, 0, "this runtime has no rkllm_clear_kv_cache");
    }
}

template <class Handle> int32_t cache_size(Handle handle, int32_t *out, rkb_failure *why) {
    if constexpr (tells_size<Handle>) {
        // The call writes a value per sequence, and n_batch is a byte.
        int sizes[256] = {};
        const int32_t status = guarded(why, [&] { return rkllm_get_kv_cache_size(handle, sizes); });
        *out = sizes[0];
        return status;
    } else {
        return fail(why, RKB_ABSENT, 0, "this runtime has no rkllm_get_kv_cache_size");
    }
}

template <class Handle>
int32_t set_template(Handle handle, const char *system, const char *prefix, const char *postfix, rkb_failure *why) {
    if constexpr (sets_template<Handle>) {
        return guarded(why, [&] { return rkllm_set_chat_template(handle, system, prefix, postfix); });
    } else {
        return fail(why, RKB_ABSENT, 0, "this runtime has no rkllm_set_chat_template");
    }
}

// Accepts the callbacks of one run from now on, and returns the run's ticket.
ticket *begin_run(rkb_session &session, rkb_on_event handler, void *context) {
    const std::lock_guard<std::mutex> hold(session.gate);
    session.handler = handler;
    session.context = context;
    session.caller = std::this_thread::get_id();
    ticket *mine = &session.tickets[session.runs++ % std::size(session.tickets)];
    session.current = mine;
    return mine;
}

void end_run(rkb_session &session) {
    const std::lock_guard<std::mutex> hold(session.gate);
    session.handler = nullptr;
    session.context = nullptr;
    session.current = nullptr;
}

} // namespace

extern "C" {

const rkb_abilities *rkb_header_abilities(void) {
    static const rkb_abilities can =
        abilities_of_header<RKLLMParam, RKLLMResult, RKLLMInput, RKLLMInferParam, LLMHandle>();
    return &can;
}

uint64_t rkb_now_ns(void) { return now_ns(); }

void rkb_flush_stdio(void) { std::fflush(nullptr); }

const void *rkb_library_address(void) { return reinterpret_cast<const void *>(&rkllm_init); }

int32_t rkb_default_params(rkb_params *out, rkb_failure *why) {
    if (out == nullptr) {
        return fail(why, RKB_BAD_ARGUMENT, 0, "no room for the parameters");
    }
    *out = rkb_params{};
    size_t excess = 0;
    const int32_t status = guarded(why, [&] {
        default_param param;
        excess = param.excess();
        read_params(param.get(), *out);
        return 0;
    });
    return excess == 0 ? status : other_layout(why, excess);
}

int32_t rkb_open(const rkb_params *params, rkb_session **out, rkb_failure *why) {
    if (out == nullptr || params == nullptr || params->model_path == nullptr) {
        return fail(why, RKB_BAD_ARGUMENT, 0, "no parameters, no model path or no room for the session");
    }
    *out = nullptr;
    rkb_session *session = nullptr;
    size_t excess = 0;
    const int32_t status = guarded(why, [&] {
        default_param defaults;
        excess = defaults.excess();
        if (excess != 0) {
            return 0;
        }
        RKLLMParam &param = defaults.get();
        session = take_session();
        session->model_path = params->model_path;
        param.model_path = session->model_path.c_str();
        write_params(*params, param);
        return call_init(&rkllm_init, *session, param);
    });
    if (excess != 0) {
        return other_layout(why, excess);
    }
    if (status == RKB_OK && session->handle != nullptr) {
        *out = session;
        return RKB_OK;
    }
    if (session != nullptr) {
        give_back(session);
    }
    return status != RKB_OK ? status : fail(why, RKB_RUNTIME_FAILED, 0, "rkllm_init returned 0 but gave no handle");
}

int32_t rkb_close(rkb_session *session, rkb_failure *why) {
    if (session == nullptr || session->handle == nullptr) {
        return closed(why);
    }
    const int32_t status = guarded(why, [&] { return rkllm_destroy(session->handle); });
    give_back(session);
    return status;
}

int32_t rkb_run(rkb_session *session, const rkb_run_request *request, rkb_on_event handler, void *context,
                rkb_run_outcome *out, rkb_failure *why) {
    if (out == nullptr || request == nullptr || handler == nullptr ||
        (request->text == nullptr) == (request->tokens == nullptr)) {
        return fail(why, RKB_BAD_ARGUMENT, 0, "a run needs a handler, room for its outcome, and text or tokens");
    }
    *out = rkb_run_outcome{};
    if (session == nullptr || session->handle == nullptr) {
        return closed(why);
    }
    RKLLMInput input{};
    RKLLMInferParam infer{};
    write_input(*request, input);
    infer_parts<RKLLMInferParam> parts;
    write_infer(*request, infer, parts);
    ticket *mine = begin_run(*session, handler, context);
    const int32_t status = guarded(why, [&] {
        out->call_ns = now_ns();
        const int code = rkllm_run(session->handle, &input, &infer, mine);
        out->return_ns = now_ns();
        return code;
    });
    end_run(*session);
    if (out->return_ns == 0) {
        out->return_ns = now_ns(); // after an exception
    }
    return status;
}

int32_t rkb_abort(rkb_session *session, rkb_failure *why) {
    if (session == nullptr || session->handle == nullptr) {
        return closed(why);
    }
    return guarded(why, [&] { return rkllm_abort(session->handle); });
}

int32_t rkb_clear_kv_cache(rkb_session *session, rkb_failure *why) {
    if (session == nullptr || session->handle == nullptr) {
        return closed(why);
    }
    return clear_cache(session->handle, why);
}

int32_t rkb_kv_cache_size(rkb_session *session, int32_t *out, rkb_failure *why) {
    if (out == nullptr) {
        return fail(why, RKB_BAD_ARGUMENT, 0, "no room for the size");
    }
    *out = 0;
    if (session == nullptr || session->handle == nullptr) {
        return closed(why);
    }
    return cache_size(session->handle, out, why);
}

int32_t rkb_load_prompt_cache(rkb_session *session, const char *path, rkb_failure *why) {
    if (session == nullptr || session->handle == nullptr) {
        return closed(why);
    }
    if (path == nullptr) {
        return fail(why, RKB_BAD_ARGUMENT, 0, "no path of a prompt cache");
    }
    if (!has_prompt_cache()) {
        return fail(why, RKB_ABSENT, 0, "this runtime has no rkllm_load_prompt_cache");
    }
    return guarded(why, [&] { return rkllm_load_prompt_cache(session->handle, path); });
}

int32_t rkb_release_prompt_cache(rkb_session *session, rkb_failure *why) {
    if (session == nullptr || session->handle == nullptr) {
        return closed(why);
    }
    if (!has_prompt_cache()) {
        return fail(why, RKB_ABSENT, 0, "this runtime has no rkllm_release_prompt_cache");
    }
    return guarded(why, [&] { return rkllm_release_prompt_cache(session->handle); });
}

int32_t rkb_set_chat_template(rkb_session *session, const char *system_prompt, const char *prefix,
                              const char *postfix, rkb_failure *why) {
    if (session == nullptr || session->handle == nullptr) {
        return closed(why);
    }
    if (system_prompt == nullptr || prefix == nullptr || postfix == nullptr) {
        return fail(why, RKB_BAD_ARGUMENT, 0, "a part of the chat template is NULL");
    }
    return set_template(session->handle, system_prompt, prefix, postfix, why);
}

uint64_t rkb_late_callbacks(const rkb_session *session) {
    return session == nullptr ? 0 : session->late.load();
}

} // extern "C"
