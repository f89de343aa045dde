#include "engine/local_client.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <limits>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/local_host.h"
#include "wire/batch.h"
#include "wire/check.h"

namespace sluice {
namespace {

using shard::LocalBatch;
using shard::LocalPort;

constexpr std::uint32_t kBatchBytesDefault = 64u << 10;
constexpr std::uint32_t kBatchBytesMin = 4u << 10;
constexpr std::uint32_t kBatchesMax = 65'536;
/// A batch has room for the tags of so many entries: one for each 16 bytes of it.
constexpr std::uint32_t kBytesPerTag = 16;
/// Of the buffers of one shard.
constexpr std::uint64_t kBufferBytesMax = std::uint64_t{4} << 30;
/// Behind it there would be no next one.
constexpr Sequence kSequenceEnd(std::numeric_limits<std::uint64_t>::max());
constexpr std::uint32_t kNone = ~std::uint32_t{0};

client::AppendOutcome outcome_of(const wire::AppendResult& result) {
  client::AppendOutcome outcome;
  outcome.code = static_cast<Errc>(result.code());
  outcome.leader = NodeId(result.leader_id());
  outcome.expected = Sequence(result.expected_sequence());
  if (outcome.code == Errc::kOk) {
    outcome.status = client::Status::kOk;
    outcome.index = Index(result.first_index());
    outcome.term = Term(result.term());
  } else if (outcome.code == Errc::kNotLeader) {
    outcome.status = client::Status::kNotLeader;
  } else {
    outcome.status =
        is_refused(outcome.code) ? client::Status::kRefused : client::Status::kUnknown;
  }
  return outcome;
}

/// What the client knows of a batch, beside what the shard is given.
struct Gathered {
  std::span<std::byte> buffer;
  std::span<std::uint64_t> tags;
  std::optional<BatchBuilder> builder;  // until it is handed over
  std::uint32_t count = 0;
  GroupId group;
  ProducerId producer;
  Sequence first;
  std::uint32_t older = kNone;  // of the same group, with a producer, not heard of yet

  [[nodiscard]] bool continues(const LocalAppend& where) const {
    return count < tags.size() && producer == where.producer &&
           (producer == kNoProducer || first + count == where.sequence);
  }
};

/// The way to one shard, with a fixed pool of batches.
struct Way {
  Way(const LocalOptions& options, LocalPort::Home& home)
      : memory(std::make_unique_for_overwrite<std::uint64_t[]>(words(options) * options.batches)),
        tags(std::make_unique_for_overwrite<std::uint64_t[]>(tags_max(options) * options.batches)),
        batches(options.batches),
        gathered(options.batches),
        port(batches, home) {
    for (std::uint32_t i = 0; i < options.batches; ++i) {
      gathered[i].buffer = std::as_writable_bytes(
          std::span(memory.get() + i * words(options), words(options)));
      gathered[i].tags = std::span(tags.get() + i * tags_max(options), tags_max(options));
      batches[i].results.reserve(2);
      free.push_back(options.batches - 1 - i);  // the first one is used first, and most
    }
  }
  static std::size_t words(const LocalOptions& options) {
    return options.batch_bytes / sizeof(std::uint64_t);
  }
  static std::size_t tags_max(const LocalOptions& options) {
    return options.batch_bytes / kBytesPerTag;
  }

  std::unique_ptr<std::uint64_t[]> memory;  // of the buffers, aligned as batches must be
  std::unique_ptr<std::uint64_t[]> tags;
  std::vector<LocalBatch> batches;
  std::vector<Gathered> gathered;   // by the same numbers
  std::vector<std::uint32_t> free;  // numbers; the last one that was used goes first
  LocalPort port;
  std::shared_ptr<shard::Mailbox> mailbox;  // nullptr: the shard had ended
  bool ring_due = false;                    // batches were handed over since it was rung
};

class LocalClientImpl final : public LocalClient, private LocalPort::Home {
 public:
  /// Takes over `wake_fd`, an eventfd; -1 at home in a shard.
  LocalClientImpl(const LocalOptions& options, int wake_fd, LocalHost& host, LocalEvents& events)
      : options_(options),
        node_(host.local_node()),
        host_(host),
        events_(events),
        wake_fd_(wake_fd),
        groups_(node_.groups) {
    gathering_.reserve(node_.groups);
    LocalPort::Home& home = *this;
    for (std::uint32_t i = 0; i < (options_.shard ? 1 : node_.shards); ++i) {
      ways_.push_back(std::make_unique<Way>(options_, home));
    }
    open_ports_ = ways_.size();
    // From here on the shards may call.
    for (std::uint32_t i = 0; i < ways_.size(); ++i) attach(options_.shard.value_or(ShardId(i)), i);
  }

  ~LocalClientImpl() override {
    silent_ = true;
    close();
    if (wake_fd_ >= 0) ::close(wake_fd_);
    host_.on_client_gone();
  }

  Errc append(std::uint64_t tag, const LocalAppend& where,
              std::span<const std::byte> data) override {
    if (where.group.value() >= node_.groups) return Errc::kUnknownGroup;
    Way* way = way_of(where.group);
    if (way == nullptr) return Errc::kInvalidRequest;
    if (where.producer != kNoProducer &&
        (where.sequence == Sequence{} || where.sequence == kSequenceEnd)) {
      return Errc::kInvalidRequest;
    }
    if (BatchBuilder::size_for(data.size()) > options_.batch_bytes) return Errc::kTooLarge;
    if (way->port.closed.load(std::memory_order_relaxed)) return Errc::kShuttingDown;

    OfGroup& group = groups_[where.group.value()];
    if (group.open != kNone) {
      Gathered& open = way->gathered[group.open];
      if (open.continues(where) && open.builder->append(data)) return take(open, tag);
      hand_over(*way, group.open);
      ring(*way);
    }
    if (way->free.empty()) return Errc::kOverloaded;
    Gathered& open = begin(*way, where);
    SLUICE_CHECK(open.builder->append(data));
    return take(open, tag);
  }

  void flush() override {
    for (const GroupId group : gathering_) {
      OfGroup& of = groups_[group.value()];
      of.gathering = false;
      if (of.open != kNone) hand_over(*way_of(group), of.open);
    }
    gathering_.clear();
    for (const auto& way : ways_) ring(*way);
  }

  std::size_t poll() override {
    SLUICE_CHECK(!options_.shard);
    return deliver_all();
  }

  void wait(std::uint32_t timeout_ms) override {
    SLUICE_CHECK(!options_.shard);
    // First we say that we sleep, then we look: what comes in between rings.
    sleeping_.store(true);
    if (!has_news()) {
      pollfd fd{wake_fd_, POLLIN, 0};
      (void)::poll(&fd, 1, static_cast<int>(std::min<std::uint32_t>(timeout_ms, 3'600'000)));
    }
    sleeping_.store(false);
    std::uint64_t count = 0;
    (void)!::read(wake_fd_, &count, sizeof count);
  }

  void call() override {
    SLUICE_CHECK(options_.shard.has_value());
    Way& way = *ways_.front();
    way.port.called.store(true);
    if (way.mailbox) way.mailbox->ring();
  }

  void turn_at(std::uint64_t deadline_ns) override {
    SLUICE_CHECK(options_.shard.has_value());
    std::uint64_t& at_ns = ways_.front()->port.turn_at_ns;
    deadline_ns = std::max<std::uint64_t>(deadline_ns, 1);  // 0 says that none is wanted
    at_ns = at_ns == 0 ? deadline_ns : std::min(at_ns, deadline_ns);
  }

  std::size_t pending() const override { return pending_; }

  void close() override {
    // Not from within an event. At home in a shard those are all on its thread, and what the shard
    // does at the moment is not for other threads to see.
    SLUICE_CHECK(options_.shard || !delivering_);
    SLUICE_CHECK(std::this_thread::get_id() != shard_thread_.load());
    if (std::exchange(close_asked_, true)) return;
    for (const auto& way : ways_) {
      if (way->mailbox) way->mailbox->detach(way->port);
    }
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return open_ports_ == 0; });
    }
    if (!options_.shard) (void)deliver_all();
    SLUICE_CHECK(silent_ || pending_ == 0);
  }

 private:
  struct OfGroup {
    std::uint32_t open = kNone;    // number of the batch that gathers
    std::uint32_t newest = kNone;  // of the batches with a producer that were not heard of
    bool gathering = false;        // in gathering_
  };

  void attach(ShardId shard, std::size_t way) {
    if (host_.attach(shard, ways_[way]->port, ways_[way]->mailbox)) return;
    ways_[way]->port.closed = true;
    const std::lock_guard lock(mutex_);
    --open_ports_;
  }

  /// nullptr: it belongs to another shard than the one that is home.
  [[nodiscard]] Way* way_of(GroupId group) const {
    const std::uint32_t shard = group.value() % node_.shards;
    if (!options_.shard) return ways_[shard].get();
    return shard == options_.shard->value() ? ways_.front().get() : nullptr;
  }

  Errc take(Gathered& open, std::uint64_t tag) {
    open.tags[open.count++] = tag;
    ++pending_;
    return Errc::kOk;
  }

  Gathered& begin(Way& way, const LocalAppend& where) {
    OfGroup& group = groups_[where.group.value()];
    const std::uint32_t number = way.free.back();
    way.free.pop_back();
    Gathered& open = way.gathered[number];
    const Sequence first = where.producer == kNoProducer ? Sequence{} : where.sequence;
    open.builder.emplace(open.buffer, BatchBuilder::Options{.cluster = node_.cluster,
                                                            .group = where.group,
                                                            .producer = where.producer,
                                                            .first_sequence = first});
    open.count = 0;
    open.group = where.group;
    open.producer = where.producer;
    open.first = first;
    way.batches[number].follows = false;
    if (where.producer != kNoProducer) {
      for (std::uint32_t i = group.newest; i != kNone; i = way.gathered[i].older) {
        const Gathered& other = way.gathered[i];
        if (other.producer == open.producer && other.first < open.first) {
          way.batches[number].follows = true;
        }
      }
      open.older = std::exchange(group.newest, number);
    }
    group.open = number;
    if (!std::exchange(group.gathering, true)) gathering_.push_back(where.group);
    return open;
  }

  /// Finishes a batch, which hashes its payload: the one time that it is hashed on this node.
  void hand_over(Way& way, std::uint32_t number) {
    Gathered& open = way.gathered[number];
    const std::size_t size_bytes = open.builder->finish().size_bytes();
    open.builder.reset();
    groups_[open.group.value()].open = kNone;
    way.batches[number].bytes = open.buffer.first(size_bytes);
    way.ring_due = true;
    way.port.submitted.push(&way.batches[number]);
  }

  /// Says that batches were handed over. A shard that is at home here looks into the queue anyway
  /// when it is done with us.
  void ring(Way& way) {
    if (std::exchange(way.ring_due, false) && !options_.shard && way.mailbox) way.mailbox->ring();
  }

  [[nodiscard]] bool has_news() const {
    return std::ranges::any_of(ways_, [this](const auto& way) {
      return !way->port.answered.empty() || (way->port.closed.load() && has_rest(*way));
    });
  }
  /// Precondition: its port is closed. Whether refuse_rest() has something to refuse.
  [[nodiscard]] bool has_rest(const Way& way) const {
    return !way.port.submitted.empty() ||
           std::ranges::any_of(gathering_, [&](GroupId group) {
             return groups_[group.value()].open != kNone && way_of(group) == &way;
           });
  }

  std::size_t deliver_all() {
    SLUICE_CHECK(!std::exchange(delivering_, true));
    std::size_t count = 0;
    for (const auto& way : ways_) {
      // Looked at first: what was answered before the port closed is in the queue then.
      const bool closed = way->port.closed.load();
      // No more than can have been there now: what an event appends may be answered before it
      // returns, and so on. A closed port answers nothing new.
      for (std::size_t i = 0; (closed || i < way->batches.size()) && !way->port.answered.empty();
           ++i) {
        LocalBatch* batch = way->port.answered.front();
        way->port.answered.pop();
        count += deliver(*way, *batch);
      }
      if (closed) count += refuse_rest(*way);
    }
    delivering_ = false;
    return count;
  }

  std::size_t deliver(Way& way, LocalBatch& batch) {
    const auto number = static_cast<std::uint32_t>(&batch - way.batches.data());
    Gathered& gathered = way.gathered[number];
    // Before the first event: whoever answers a refusal with a retry knows of it.
    forget(way, number);
    for (const wire::AppendResult& result : batch.results) {
      client::AppendOutcome outcome = outcome_of(result);
      for (std::uint32_t i = 0; i < result.count(); ++i) {
        --pending_;
        if (!silent_) events_.on_append(gathered.tags[result.offset() + i], outcome);
        if (outcome.status == client::Status::kOk) outcome.index = outcome.index.next();
      }
    }
    const std::size_t count = gathered.count;
    way.free.push_back(number);
    return count;
  }

  void forget(Way& way, std::uint32_t number) {
    const Gathered& gone = way.gathered[number];
    if (gone.producer == kNoProducer) return;
    std::uint32_t* at = &groups_[gone.group.value()].newest;
    while (*at != number) at = &way.gathered[*at].older;
    *at = gone.older;
  }

  /// The shard has ended and looks at nothing any more: what it left in the queue, and what gathers
  /// here, was certainly not appended.
  std::size_t refuse_rest(Way& way) {
    std::size_t count = 0;
    for (const GroupId group : gathering_) {
      const OfGroup& of = groups_[group.value()];
      if (of.open != kNone && way_of(group) == &way) hand_over(way, of.open);
    }
    for (; !way.port.submitted.empty(); way.port.submitted.pop()) {
      LocalBatch& batch = *way.port.submitted.front();
      batch.results.clear();
      batch.results.emplace_back(0u, 0u, 0u, 0u, 0u, BatchView::trusted(batch.bytes).entry_count(),
                                 0u, static_cast<std::uint16_t>(Errc::kShuttingDown),
                                 std::uint16_t{0});
      count += deliver(way, batch);
    }
    return count;
  }

  // Of LocalPort::Home: on the shard's thread.
  void on_turn() override {
    if (options_.shard) {
      shard_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
      (void)deliver_all();
      if (!silent_) events_.on_turn(*this);
      flush();
    } else if (sleeping_.exchange(false)) {
      const std::uint64_t one = 1;
      (void)!::write(wake_fd_, &one, sizeof one);
    }
  }
  void on_closed(LocalPort&) override {
    // Notified under the lock: whoever waits destroys this object next.
    const std::lock_guard lock(mutex_);
    // The thread ends, and its id may be the next thread's.
    shard_thread_.store(std::thread::id{});
    --open_ports_;
    changed_.notify_all();
  }

  const LocalOptions options_;
  const LocalNode node_;
  LocalHost& host_;
  LocalEvents& events_;
  const int wake_fd_;

  std::vector<std::unique_ptr<Way>> ways_;  // by shard; one alone if a shard is home
  std::vector<OfGroup> groups_;
  std::vector<GroupId> gathering_;  // that may have an open batch
  std::size_t pending_ = 0;
  bool delivering_ = false;
  bool close_asked_ = false;
  std::atomic<bool> silent_{false};
  std::atomic<bool> sleeping_{false};
  std::atomic<std::thread::id> shard_thread_{};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t open_ports_ = 0;
};

std::string problem_of(const LocalOptions& options, const LocalNode& node) {
  if (options.shard && options.shard->value() >= node.shards) {
    return "LocalOptions::shard: there is no shard " + std::to_string(options.shard->value());
  }
  if (options.batch_bytes < kBatchBytesMin || options.batch_bytes > node.batch_bytes_max ||
      options.batch_bytes % 8 != 0) {
    return "LocalOptions::batch_bytes: choose a multiple of 8 from 4 KiB to what the node allows, " +
           std::to_string(node.batch_bytes_max);
  }
  if (options.batches == 0 || options.batches > kBatchesMax) {
    return "LocalOptions::batches: choose from 1 to " + std::to_string(kBatchesMax);
  }
  if (std::uint64_t{options.batch_bytes} * options.batches > kBufferBytesMax) {
    return "LocalOptions::batch_bytes * batches: choose at most 4 GiB (" +
           std::to_string(kBufferBytesMax / options.batch_bytes) + " batches of " +
           std::to_string(options.batch_bytes) + " bytes)";
  }
  return {};
}

}  // namespace

std::expected<std::unique_ptr<LocalClient>, std::string> make_local_client(
    const LocalOptions& options, LocalHost& host, LocalEvents& events) {
  const LocalNode node = host.local_node();
  LocalOptions resolved = options;
  if (resolved.batch_bytes == 0) {
    resolved.batch_bytes = std::min(kBatchBytesDefault, node.batch_bytes_max);
  }
  if (auto why = problem_of(resolved, node); !why.empty()) return std::unexpected(std::move(why));
  int wake_fd = -1;
  if (!resolved.shard) {
    wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0) {
      return std::unexpected("a local client cannot have an eventfd: " +
                             std::string(std::strerror(errno)));
    }
  }
  return std::make_unique<LocalClientImpl>(resolved, wake_fd, host, events);
}

}  // namespace sluice
