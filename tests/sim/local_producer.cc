#include "tests/sim/local_producer.h"

#include <algorithm>

#include "wire/batch.h"
#include "wire/checksum.h"
#include "wire/result.h"

namespace sluice::sim {
namespace {

constexpr std::size_t kBatches = 6;
constexpr std::size_t kEntriesMax = 4;  // of a batch
constexpr std::size_t kWindowMax = 24;  // of a producer
constexpr std::uint32_t kPayloadBytesMin = 8;

}  // namespace

LocalProducer::LocalProducer(LocalWorkload& workload, const Place& place, io::Io& io)
    : workload_(workload),
      place_(place),
      io_(io),
      random_(workload.world.random_for(
          "local", place.machine << 32 | place.start << 8 | place.shard.value())),
      own_(kBatches),
      batches_(kBatches),
      port_(batches_, static_cast<shard::LocalPort::Home&>(*this)) {
  for (Batch& batch : own_) batch.memory.resize(place.batch_bytes_max / sizeof(std::uint64_t));
}

/// One bit that no uid of a client has, then where and when it was made.
Uid LocalProducer::next_uid() {
  return 1ull << 60 | place_.machine << 52 | std::uint64_t{place_.shard.value()} << 48 |
         place_.start << 32 | next_uid_++;
}

void LocalProducer::on_turn() {
  for (; !port_.answered.empty(); port_.answered.pop()) hear(*port_.answered.front());
  if (port_.closed.load() || workload_.draining) return;
  if (io_.now_ns() >= next_ns_) {
    const std::uint64_t interval = std::uint64_t{workload_.interval_us} * kUs;
    next_ns_ = io_.now_ns() + interval / 2 + random_.below(interval);
    issue();
  }
  port_.turn_at_ns = next_ns_;
}

// --- what it does ------------------------------------------------------------------------------

void LocalProducer::issue() {
  for (auto& [group, stream] : streams_) {
    if (!stream.again || stream.batches_in_flight > 0) continue;
    stream.again = false;
    send_waiting(group, stream);
  }
  const std::uint32_t own_groups =
      (workload_.groups + place_.shards - 1 - place_.shard.value()) / place_.shards;
  if (own_groups == 0) return;
  for (std::uint64_t n = random_.between(0, workload_.burst); n > 0; --n) {
    const auto nth = static_cast<std::uint32_t>(random_.below(own_groups));
    const GroupId group(place_.shard.value() + nth * place_.shards);
    if (workload_.numbered && random_.coin()) {
      append_numbered(group);
    } else {
      append_plain(group);
    }
  }
}

std::size_t LocalProducer::free_batch() const {
  return static_cast<std::size_t>(std::ranges::find_if(own_, &Batch::free) - own_.begin());
}

std::uint32_t LocalProducer::any_size() {
  return static_cast<std::uint32_t>(random_.between(kPayloadBytesMin, workload_.entry_bytes_max));
}

void LocalProducer::append_plain(GroupId group) {
  const std::size_t number = free_batch();
  if (number == own_.size()) return;
  Batch& batch = own_[number];
  batch.group = group;
  batch.numbered = false;
  batch.uids.clear();
  std::vector<std::uint32_t> sizes;
  std::size_t bytes = BatchBuilder::size_for(0);
  for (std::uint64_t n = random_.between(1, kEntriesMax); n > 0; --n) {
    const std::uint32_t size = any_size();
    bytes += size + 8;
    if (!sizes.empty() && bytes > place_.batch_bytes_max) break;
    sizes.push_back(size);
    batch.uids.push_back(next_uid());
  }
  hand_over(number, sizes, kNoProducer, Sequence{}, /*follows=*/false);
}

void LocalProducer::append_numbered(GroupId group) {
  Stream& stream = streams_[group];
  if (stream.id == kNoProducer) stream.id = ProducerId(next_uid());
  if (stream.again || stream.window.size() >= kWindowMax) return;
  for (std::uint64_t n = random_.between(1, kEntriesMax); n > 0; --n) {
    stream.window.push_back(
        {.uid = next_uid(), .sequence = stream.next, .size_bytes = any_size()});
    stream.next = stream.next.next();
  }
  send_waiting(group, stream);
}

/// What has no room now goes with the next ones.
void LocalProducer::send_waiting(GroupId group, Stream& stream) {
  auto item = std::ranges::find(stream.window, Item::State::kToSend, &Item::state);
  while (item != stream.window.end()) {
    const std::size_t number = free_batch();
    if (number == own_.size()) return;
    Batch& batch = own_[number];
    batch.group = group;
    batch.numbered = true;
    batch.uids.clear();
    const Sequence first = item->sequence;
    std::vector<std::uint32_t> sizes;
    std::size_t bytes = BatchBuilder::size_for(0);
    for (; item != stream.window.end() && sizes.size() < kEntriesMax; ++item) {
      if (item->state != Item::State::kToSend) break;
      bytes += item->size_bytes + 8;
      if (!sizes.empty() && bytes > place_.batch_bytes_max) break;
      sizes.push_back(item->size_bytes);
      batch.uids.push_back(item->uid);
      item->state = Item::State::kInFlight;
    }
    hand_over(number, sizes, stream.id, first, /*follows=*/stream.batches_in_flight > 0);
    ++stream.batches_in_flight;
  }
}

void LocalProducer::hand_over(std::size_t number, std::span<const std::uint32_t> sizes,
                              ProducerId producer, Sequence first, bool follows) {
  Batch& batch = own_[number];
  batch.free = false;
  BatchBuilder builder(std::as_writable_bytes(std::span(batch.memory)),
                       {.cluster = cluster_id_of("sim"),
                        .group = batch.group,
                        .producer = producer,
                        .first_sequence = first});
  std::vector<std::byte> payload;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    payload.resize(sizes[i]);
    fill_payload(batch.uids[i], payload);
    SLUICE_CHECK(builder.append(payload));
  }
  const std::size_t size_bytes = builder.finish().size_bytes();
  batches_[number].bytes = std::as_writable_bytes(std::span(batch.memory)).first(size_bytes);
  batches_[number].follows = follows;
  port_.submitted.push(&batches_[number]);
}

// --- what it hears -----------------------------------------------------------------------------

void LocalProducer::hear(shard::LocalBatch& answered) {
  const auto number = static_cast<std::size_t>(&answered - batches_.data());
  Batch& batch = own_[number];
  if (batch.numbered) --streams_[batch.group].batches_in_flight;
  std::vector<bool> named(batch.uids.size());
  for (const wire::AppendResult& result : answered.results) {
    for (std::uint32_t i = result.offset(); i < result.offset() + result.count(); ++i) {
      if (i < named.size() && !named[i]) {
        named[i] = true;
        continue;
      }
      workload_.world.report(place_.node + ": a local client's entry got two results, or none is its");
      return;
    }
    workload_.world.mix(batch.uids[result.offset()] ^ std::uint64_t{result.code()} << 61);
    batch.numbered ? hear_numbered(batch, result) : hear_plain(batch, result);
  }
  if (std::ranges::find(named, false) != named.end()) {
    workload_.world.report(place_.node + ": a local client's batch came back without all results");
  }
  if (batch.numbered) {
    auto& window = streams_[batch.group].window;
    while (!window.empty() && window.front().state == Item::State::kDone) window.pop_front();
  }
  batch.free = true;
}

void LocalProducer::check_acknowledged() {
  for (const auto& [place, uid] : acknowledged_) {
    workload_.shadow.acknowledged(place, uid, place_.node);
  }
  acknowledged_.clear();
}

void LocalProducer::hear_plain(const Batch& batch, const wire::AppendResult& result) {
  const auto code = static_cast<Errc>(result.code());
  for (std::uint32_t i = 0; i < result.count(); ++i) {
    const Uid uid = batch.uids[result.offset() + i];
    if (code == Errc::kOk) {
      acknowledged_.push_back(
          {{batch.group, Index(result.first_index() + i), Term(result.term())}, uid});
    } else if (is_refused(code) || code == Errc::kNotLeader) {
      workload_.shadow.refused(uid, place_.node);
    }
  }
}

void LocalProducer::hear_numbered(const Batch& batch, const wire::AppendResult& result) {
  const auto code = static_cast<Errc>(result.code());
  Stream& stream = streams_[batch.group];
  for (std::uint32_t i = 0; i < result.count(); ++i) {
    const Uid uid = batch.uids[result.offset() + i];
    const auto item = std::ranges::find(stream.window, uid, &Item::uid);
    if (item == stream.window.end()) continue;
    if (code == Errc::kOk) {
      acknowledged_.push_back(
          {{batch.group, Index(result.first_index() + i), Term(result.term())}, uid});
      item->state = Item::State::kDone;
      continue;
    }
    if (code == Errc::kSequenceTooOld) {
      workload_.world.report(place_.node + ": a local client's sequence " +
                             std::to_string(item->sequence.value()) +
                             " was forgotten before it was acknowledged (S47)");
    }
    item->state = Item::State::kToSend;
    stream.again = true;
    item->maybe = item->maybe || !(is_refused(code) || code == Errc::kNotLeader);
    if (item->maybe) continue;
    // Certainly in no log: another entry may take its sequence, and does.
    workload_.shadow.refused(uid, place_.node);
    item->uid = next_uid();
  }
}

}  // namespace sluice::sim
