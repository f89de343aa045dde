#include "bench/floor/leader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "tools/usage.h"

namespace sluice::floor {
namespace {

using tools::machine_busy_ns;
using tools::monotonic_ns;
using tools::process_cpu_ns;

// Of link n: kAck + n and kSent + n.
enum Tag : std::uint64_t { kAck = 1, kSent = 4, kWritten = 16 };

constexpr std::uint64_t kRingBytesMin = 8ull << 20;
constexpr std::uint64_t kRingBytesMax = 256ull << 20;
/// How long an open loop goes on after its end to send what was due before.
constexpr std::uint64_t kCatchUpNs = 10'000'000'000;

std::uint64_t ring_bytes(const Options& options) {
  const std::uint64_t entry_bytes = options.entry_bytes + sizeof(EntryLength);
  return std::clamp<std::uint64_t>(
      2 * options.outstanding * entry_bytes + 4ull * options.batch_bytes_max, kRingBytesMin,
      kRingBytesMax);
}

std::uint64_t seconds_ns(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

}  // namespace

Leader::Leader(const Options& options, const std::array<pid_t, kFollowers>& followers)
    : options_(options),
      follower_pids_(followers),
      stream_(ring_bytes(options)),
      disk_(options, stream_, kWritten),
      source_(options.entry_bytes) {
  for (std::size_t i = 0; i < source_.size(); ++i)
    source_[i] = static_cast<std::byte>(i * 131 + (i >> 8));
}

nlohmann::ordered_json Leader::run(const std::array<int, kFollowers>& sockets) {
  for (std::size_t i = 0; i < kFollowers; ++i) {
    links_[i].socket = sockets[i];
    receive_acks(i);
  }
  begin_phases();
  for (;;) {
    const std::uint64_t now_ns = monotonic_ns();
    commit(now_ns);
    change_phase(now_ns);
    if (finished()) return report();
    generate(now_ns);
    send();
    write();
    uring_.enter(wait_ns(now_ns));
    uring_.drain([this](std::uint64_t tag, int result) { handle(tag, result); });
  }
}

void Leader::handle(std::uint64_t tag, int result) {
  if (tag >= kWritten) return disk_.on_written(tag, result);
  if (tag >= kSent) return on_sent(links_[tag - kSent], result);
  on_ack(links_[tag - kAck], result);
  receive_acks(tag - kAck);
}

void Leader::on_sent(Link& link, int result) {
  if (result <= 0)
    throw std::runtime_error(fmt::format("sending to a follower: {}", std::strerror(-result)));
  link.sent_end += static_cast<std::uint64_t>(result);
  link.send_begun_end = link.sent_end;  // it may have been short
}

void Leader::receive_acks(std::size_t link) {
  Link& from = links_[link];
  uring_.recv(from.socket, from.acks.data() + from.acks_bytes, from.acks.size() - from.acks_bytes,
              kAck + link);
}

void Leader::on_ack(Link& link, int result) {
  if (result == 0) throw std::runtime_error("a follower closed its connection");
  if (result < 0)
    throw std::runtime_error(fmt::format("receiving from a follower: {}", std::strerror(-result)));
  link.acks_bytes += static_cast<std::size_t>(result);
  const std::size_t whole = link.acks_bytes / sizeof(Ack) * sizeof(Ack);
  if (whole == 0) return;
  Ack last;
  std::memcpy(&last, link.acks.data() + whole - sizeof last, sizeof last);
  if (last.sequence < link.durable_sequence || last.sequence > next_sequence_)
    throw std::runtime_error(fmt::format("a follower has entries up to {}, after {} of {}",
                                         last.sequence, link.durable_sequence, next_sequence_));
  link.durable_sequence = last.sequence;
  link.acks_bytes -= whole;
  std::memmove(link.acks.data(), link.acks.data() + whole, link.acks_bytes);
}

void Leader::begin_phases() {
  start_ns_ = monotonic_ns();
  measure_ns_ = start_ns_ + seconds_ns(options_.warmup_seconds);
  stop_ns_ = measure_ns_ + seconds_ns(options_.seconds);
}

void Leader::change_phase(std::uint64_t now_ns) {
  if (phase_ == Phase::kWarmUp && now_ns >= measure_ns_) {
    phase_ = Phase::kMeasuring;
    begin_ = snapshot(now_ns);
  } else if (phase_ == Phase::kMeasuring && now_ns >= stop_ns_) {
    phase_ = Phase::kDraining;
    done_ = snapshot(now_ns);
  }
  // Above what the machine takes an open loop never catches up.
  if (phase_ != Phase::kDraining || !open_loop() || now_ns < stop_ns_ + kCatchUpNs) return;
  while (due_ns(next_sequence_ + unsent_) < stop_ns_) ++unsent_;
}

/// Raft §5.3: what a majority has, which of three is the second of their positions.
void Leader::commit(std::uint64_t now_ns) {
  std::array<std::uint64_t, kFollowers + 1> durable = {
      disk_.durable_sequence(), links_[0].durable_sequence, links_[1].durable_sequence};
  std::ranges::sort(durable);
  const std::uint64_t upto = durable[1];
  if (upto == committed_) return;
  record(committed_, upto, now_ns);
  committed_ = upto;
}

void Leader::record(std::uint64_t first, std::uint64_t end, std::uint64_t now_ns) {
  if (open_loop()) {
    // What was due while measuring counts, even if it commits later.
    for (; first < end; ++first) {
      const std::uint64_t due = due_ns(first);
      if (due >= measure_ns_ && due < stop_ns_) latency_ns_.record(now_ns - due);
    }
    return;
  }
  while (first < end) {
    const Cohort& cohort = cohorts_.front();
    const std::uint64_t upto = std::min(end, cohort.end_sequence);
    if (phase_ == Phase::kMeasuring)
      for (; first < upto; ++first) latency_ns_.record(now_ns - cohort.made_ns);
    first = upto;
    if (first == cohort.end_sequence) cohorts_.pop_front();
  }
}

std::uint64_t Leader::due_ns(std::uint64_t sequence) const {
  return start_ns_ +
         static_cast<std::uint64_t>(static_cast<double>(sequence) * 1e9 / options_.rate);
}

bool Leader::may_make_entry() const {
  const std::uint64_t released =
      std::min({disk_.durable_end(), links_[0].sent_end, links_[1].sent_end});
  const std::uint64_t needed = sizeof(BatchHeader) + sizeof(EntryLength) + options_.entry_bytes;
  return next_sequence_ - committed_ < options_.outstanding &&
         end_ + needed + kBlockBytes <= align_down(released) + stream_.size_bytes();
}

void Leader::generate(std::uint64_t now_ns) {
  if (open_loop()) {
    const std::uint64_t until_ns = std::min(now_ns + 1, stop_ns_);
    while (unsent_ == 0 && due_ns(next_sequence_) < until_ns && may_make_entry()) make_entry();
    return;
  }
  if (phase_ == Phase::kDraining) return;
  const std::uint64_t before = next_sequence_;
  while (may_make_entry()) make_entry();
  if (next_sequence_ != before) cohorts_.push_back({next_sequence_, now_ns});
}

void Leader::make_entry() {
  const EntryLength length = options_.entry_bytes;
  const std::uint64_t open_bytes = end_ - open_begin_;
  if (open_entries_ > 0 &&
      open_bytes - sizeof(BatchHeader) + sizeof length + length > options_.batch_bytes_max)
    seal();
  if (open_entries_ == 0) {
    open_begin_ = end_;
    end_ += sizeof(BatchHeader);
  }
  std::byte* const entry = stream_.at(end_);
  std::memcpy(entry, &length, sizeof length);
  std::memcpy(entry + sizeof length, source_.data(), length);
  std::memcpy(entry + sizeof length, &next_sequence_, sizeof next_sequence_);
  end_ += sizeof length + length;
  ++open_entries_;
  ++next_sequence_;
}

void Leader::seal() {
  if (open_entries_ == 0) return;
  const std::uint64_t payload = open_begin_ + sizeof(BatchHeader);
  BatchHeader header{};
  header.magic = BatchHeader::kMagic;
  header.payload_bytes = static_cast<std::uint32_t>(end_ - payload);
  header.first_sequence = next_sequence_ - open_entries_;
  header.entries = open_entries_;
  header.checksum =
      payload_checksum(stream_.at(payload), header.payload_bytes, header.first_sequence);
  std::memcpy(stream_.at(open_begin_), &header, sizeof header);
  open_entries_ = 0;
  sealed_end_ = end_;
  unwritten_.push_back({end_, next_sequence_});
  ++batches_;
}

void Leader::send() {
  for (std::size_t i = 0; i < kFollowers; ++i) {
    Link& link = links_[i];
    if (link.send_begun_end != link.sent_end || link.sent_end == end_) continue;
    seal();
    const std::uint64_t size_bytes =
        std::min<std::uint64_t>(sealed_end_ - link.sent_end, options_.batch_bytes_max);
    link.send_begun_end = link.sent_end + size_bytes;
    uring_.send(link.socket, stream_.at(link.sent_end), size_bytes, kSent + i);
  }
}

void Leader::write() {
  if (!disk_.takes(end_ - disk_.submitted_end())) return;
  seal();
  // Whole batches, and at least one.
  Boundary last = unwritten_.front();
  while (!unwritten_.empty() &&
         (unwritten_.front().end == last.end ||
          unwritten_.front().end - disk_.submitted_end() <= options_.batch_bytes_max)) {
    last = unwritten_.front();
    unwritten_.pop_front();
  }
  disk_.write(uring_, last.end, last.end_sequence);
}

bool Leader::finished() const {
  if (phase_ != Phase::kDraining) return false;
  if (open_loop() && unsent_ == 0 && due_ns(next_sequence_) < stop_ns_) return false;
  return disk_.durable_sequence() == next_sequence_ &&
         std::ranges::all_of(
             links_, [this](const Link& link) { return link.durable_sequence == next_sequence_; });
}

std::uint64_t Leader::wait_ns(std::uint64_t now_ns) const {
  if (!open_loop() || phase_ == Phase::kDraining) return 0;
  const std::uint64_t due = std::min(due_ns(next_sequence_), stop_ns_);
  // Not made although it is due: something in flight has to end first.
  return due > now_ns ? due - now_ns : 0;
}

Leader::Snapshot Leader::snapshot(std::uint64_t now_ns) const {
  Snapshot now;
  now.at_ns = now_ns;
  now.committed = committed_;
  now.writes = disk_.writes();
  now.written_bytes = disk_.written_bytes();
  now.batches = batches_;
  now.leader_cpu_ns = process_cpu_ns(::getpid());
  for (std::size_t i = 0; i < kFollowers; ++i)
    now.follower_cpu_ns[i] = process_cpu_ns(follower_pids_[i]);
  now.machine_busy_ns = machine_busy_ns();
  return now;
}

nlohmann::ordered_json Leader::report() const {
  const double measured_s = static_cast<double>(done_.at_ns - begin_.at_ns) / 1e9;
  const auto entries = static_cast<double>(done_.committed - begin_.committed);
  const auto writes = static_cast<double>(done_.writes - begin_.writes);
  const auto ms = [this](double share) {
    return static_cast<double>(latency_ns_.percentile(share)) / 1e6;
  };
  const auto us_per_entry = [entries](std::uint64_t from_ns, std::uint64_t to_ns) {
    return static_cast<double>(to_ns - from_ns) / 1e3 / std::max(1.0, entries);
  };
  nlohmann::ordered_json json;
  json["mode"] = open_loop() ? "open" : "closed";
  json["entries_per_s"] = entries / measured_s;
  json["bytes_per_s"] = entries * options_.entry_bytes / measured_s;
  json["latency_ms"] = {{"p50", ms(0.5)},    {"p90", ms(0.9)},      {"p99", ms(0.99)},
                        {"p999", ms(0.999)}, {"p9999", ms(0.9999)}, {"max", ms(1)}};
  json["cpu_us_per_entry"] = {
      {"leader", us_per_entry(begin_.leader_cpu_ns, done_.leader_cpu_ns)},
      {"follower_1", us_per_entry(begin_.follower_cpu_ns[0], done_.follower_cpu_ns[0])},
      {"follower_2", us_per_entry(begin_.follower_cpu_ns[1], done_.follower_cpu_ns[1])},
      {"machine", us_per_entry(begin_.machine_busy_ns, done_.machine_busy_ns)}};
  json["entries_per_write"] = entries / std::max(1.0, writes);
  json["writes_per_s"] = writes / measured_s;
  json["batches_per_s"] = static_cast<double>(done_.batches - begin_.batches) / measured_s;
  json["written_bytes_per_payload_byte"] =
      static_cast<double>(done_.written_bytes - begin_.written_bytes) /
      std::max(1.0, entries * options_.entry_bytes);
  json["entries"] = done_.committed - begin_.committed;
  json["entries_in_all"] = next_sequence_;
  json["unsent"] = unsent_;
  json["measured_s"] = measured_s;
  return json;
}

}  // namespace sluice::floor
