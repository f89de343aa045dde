#include "tests/guards/meter.h"

#include <cerrno>
#include <cstdlib>
#include <execinfo.h>
#include <iterator>
#include <unistd.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define SLUICE_HAS_CALLGRIND true
#else
#define SLUICE_HAS_CALLGRIND false
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_TOGGLE_COLLECT
#endif

namespace sluice::guards {
namespace {

constexpr int kFramesMax = 32;
bool window_open = false;
bool collecting = false;

}  // namespace

Meter* Meter::current_ = nullptr;
bool Meter::trace_allocations = false;

Meter* Meter::switch_to(Meter* next) {
  Meter* const before = current_;
  current_ = next;
  const bool collect = window_open && next != nullptr && next->instructions;
  if (collect != collecting) {
    collecting = collect;
    CALLGRIND_TOGGLE_COLLECT;
  }
  return before;
}

bool Meter::has_callgrind() { return SLUICE_HAS_CALLGRIND; }

void Meter::open_window() {
  CALLGRIND_START_INSTRUMENTATION;
  window_open = true;
}

void Meter::close_window() {
  window_open = false;
  CALLGRIND_STOP_INSTRUMENTATION;
}

std::span<const Counts::Field> Counts::fields() {
  static constexpr Field kFields[] = {
      {"allocations", &Counts::allocations},
      {"allocated_bytes", &Counts::allocated_bytes},
      {"loops", &Counts::loops},
      {"submits", &Counts::submits},
      {"operations", &Counts::operations},
      {"recvs", &Counts::recvs},
      {"sends", &Counts::sends},
      {"sent_bytes", &Counts::sent_bytes},
      {"writes", &Counts::writes},
      {"written_bytes", &Counts::written_bytes},
      {"plain_writes", &Counts::plain_writes},
      {"plain_written_bytes", &Counts::plain_written_bytes},
      {"reads", &Counts::reads},
      {"read_bytes", &Counts::read_bytes},
      {"syncs", &Counts::syncs},
      {"frames", &Counts::frames},
      {"request_frames", &Counts::request_frames},
      {"answer_frames", &Counts::answer_frames},
      {"answers", &Counts::answers},
  };
  static_assert(sizeof(Counts) == std::size(kFields) * sizeof(std::uint64_t));
  return kFields;
}

Counts& Counts::operator+=(const Counts& other) {
  for (const Field& field : fields()) this->*field.value += other.*field.value;
  return *this;
}

Counts& Counts::operator-=(const Counts& other) {
  for (const Field& field : fields()) this->*field.value -= other.*field.value;
  return *this;
}

namespace {

void count_allocation(std::size_t size_bytes) {
  Meter* const meter = Meter::current();
  if (meter == nullptr) return;
  ++meter->counts.allocations;
  meter->counts.allocated_bytes += size_bytes;
  if (!Meter::trace_allocations || !window_open) return;
  const Outside outside;
  void* stack[kFramesMax];
  const int frames = backtrace(stack, kFramesMax);
  backtrace_symbols_fd(stack, frames, STDERR_FILENO);
  (void)!write(STDERR_FILENO, "--\n", 3);
}

}  // namespace
}  // namespace sluice::guards

// Every way to memory ends in one of these, operator new as well as what C code calls; the C library
// has them under a second name for programs that want to look.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  sluice::guards::count_allocation(size);
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  sluice::guards::count_allocation(count * size);
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  sluice::guards::count_allocation(size);
  return __libc_realloc(old, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  sluice::guards::count_allocation(size);
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** at, std::size_t alignment, std::size_t size) {
  *at = memalign(alignment, size);
  return *at != nullptr ? 0 : ENOMEM;
}
}
