#include "tests/sim/process.h"

#include <algorithm>
#include <utility>

#include "tests/sim/sim_io.h"

namespace sluice::sim {
namespace {
constexpr std::int64_t kMillion = 1'000'000;
constexpr Time kGhostMax = 100 * kMs;  // how long a killed process's port stays taken
}  // namespace

std::uint64_t Clock::at(Time now) const {
  const auto signed_now = static_cast<std::int64_t>(now / 1000);  // us: no overflow in 100 days
  const auto drift = signed_now * rate_ppm / kMillion * 1000;
  return base + static_cast<std::uint64_t>(static_cast<std::int64_t>(now) + drift);
}

Time Clock::when(std::uint64_t shown) const {
  if (shown <= base) return 0;
  const std::uint64_t elapsed = shown - base;
  // First guess, then up to where it is true.
  auto guess = static_cast<Time>(static_cast<std::int64_t>(elapsed) / (kMillion + rate_ppm) *
                                 kMillion);
  const std::uint64_t step = 1000;
  const std::uint64_t rest = shown > at(guess) ? shown - at(guess) : 0;
  guess += rest * static_cast<std::uint64_t>(kMillion) /
           static_cast<std::uint64_t>(kMillion + rate_ppm);
  while (at(guess) < shown) guess += step;
  return guess;
}

Process::Process(World& world, Network& network, Machine& machine, std::uint64_t seed)
    : world_(world), network_(network), machine_(machine), random_(seed) {}

Process::~Process() {
  if (alive_) kill();
}

void Process::spawn(std::function<void(SimIo&)> body) {
  tasks_.push_back(std::make_unique<Task>());
  Task& task = *tasks_.back();
  task.io = std::make_unique<SimIo>(*this, task);
  task.fiber = std::make_unique<Fiber>([this, &task, body = std::move(body)] {
    if (!alive_) return;
    try {
      body(*task.io);
    } catch (const ProcessGone&) {
    }
  });
  ++running_;
  schedule(task);
}

void Process::schedule(Task& task) {
  if (task.scheduled) return;
  task.scheduled = true;
  const Time step = machine_.times.step;
  world_.after(step + random_.below(step), [this, &task] { run(task); });
}

void Process::run(Task& task) {
  task.scheduled = false;
  if (!alive_ || task.fiber->done()) return;
  if (paused_) {
    task.owed = true;
    return;
  }
  task.fiber->resume();
  if (task.fiber->done()) --running_;
}

void Process::park(SimIo& io) {
  for (const auto& task : tasks_) {
    if (task->io.get() == &io) task->fiber->yield();
  }
  if (!alive_) throw ProcessGone{};
}

void Process::wake_all() {
  for (const auto& task : tasks_) {
    if (!task->fiber->done()) schedule(*task);
  }
}

void Process::pause() { paused_ = true; }

void Process::resume() {
  paused_ = false;
  for (const auto& task : tasks_) {
    if (std::exchange(task->owed, false)) schedule(*task);
  }
}

void Process::unwind() {
  alive_ = false;
  for (auto task = tasks_.rbegin(); task != tasks_.rend(); ++task) {
    if ((*task)->fiber->done()) continue;
    (*task)->fiber->resume();
    SLUICE_CHECK((*task)->fiber->done());
    --running_;
  }
}

void Process::kill() {
  if (!alive_) return;
  for (const auto& task : tasks_) task->io->abandon(false);
  end_handles(false);
  unwind();
}

void Process::power_off() {
  if (!alive_) return;
  for (const auto& task : tasks_) task->io->abandon(true);
  end_handles(true);
  unwind();
}

void Process::end_handles(bool power_lost) {
  for (Handle& handle : handles_) {
    if (auto* file = std::get_if<FileHandle>(&handle)) {
      if (!power_lost) machine_.disk->close(file->file);
    } else if (auto* socket = std::get_if<SocketRef>(&handle)) {
      if (!power_lost) network_.close(*socket);
    } else if (auto* listener = std::get_if<ListenHandle>(&handle)) {
      if (!power_lost) {
        // The kernel takes the ring down, and the listener with it, some time after the process.
        const std::uint64_t boot = machine_.boots;
        world_.after(random_.below(kGhostMax), [this, boot, port = listener->port] {
          if (machine_.boots == boot) network_.stop_listening(machine_.number, port);
        });
      }
    } else if (auto* lock = std::get_if<LockHandle>(&handle)) {
      machine_.locks.erase(lock->path);
    }
    handle = std::monostate{};
  }
}

std::int32_t Process::add_handle(Handle handle) {
  if (free_handles_.empty()) {
    free_handles_.push_back(static_cast<std::int32_t>(handles_.size()));
    handles_.emplace_back();
  }
  const std::int32_t number = free_handles_.back();
  free_handles_.pop_back();
  handles_[static_cast<std::size_t>(number)] = std::move(handle);
  return number;
}

Process::Handle& Process::handle(io::Handle number) {
  const auto at = static_cast<std::size_t>(number);
  SLUICE_CHECK(at < handles_.size() && !std::holds_alternative<std::monostate>(handles_[at]));
  return handles_[at];
}

void Process::close_handle(io::Handle number) {
  Handle& closed = handle(number);
  if (auto* file = std::get_if<FileHandle>(&closed)) {
    machine_.disk->close(file->file);
  } else if (auto* socket = std::get_if<SocketRef>(&closed)) {
    network_.close(*socket);
  } else if (auto* listener = std::get_if<ListenHandle>(&closed)) {
    network_.stop_listening(machine_.number, listener->port);
  } else if (auto* lock = std::get_if<LockHandle>(&closed)) {
    machine_.locks.erase(lock->path);
  }
  closed = std::monostate{};
  free_handles_.push_back(static_cast<std::int32_t>(number));
}

std::string Process::handles_text() const {
  static constexpr const char* kKinds[] = {"", "a file", "a socket", "a listener", "a lock"};
  std::string text;
  for (const auto& handle : handles_) {
    if (handle.index() == 0) continue;
    text += (text.empty() ? "" : ", ") + std::string(kKinds[handle.index()]);
    if (const auto* socket = std::get_if<SocketRef>(&handle)) {
      text += " to machine " + std::to_string((*socket)->to_machine);
    }
  }
  return text;
}

std::size_t Process::handles_open() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      handles_, [](const auto& h) { return !std::holds_alternative<std::monostate>(h); }));
}

}  // namespace sluice::sim
