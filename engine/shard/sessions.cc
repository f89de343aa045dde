#include "engine/shard/sessions.h"

#include <algorithm>
#include <cstring>

namespace sluice::shard {
namespace {

/// One run in a snapshot, little-endian as everything on disk (the project runs on such machines
/// only; wire/batch.cc asserts it).
struct EncodedRun {
  std::uint64_t producer, first, first_index, term, count;
};
static_assert(sizeof(EncodedRun) == 40);

}  // namespace

Sessions::Check Sessions::check(ProducerId producer, Sequence first, std::uint32_t count) const {
  const auto found = producers_.find(producer);
  if (found == producers_.end() || found->second.runs.empty()) return {Answer::kNew, 0, first};
  const auto& runs = found->second.runs;
  const Sequence next = runs.back().end();
  if (first > next) return {Answer::kGap, 0, next};
  if (first == next) return {Answer::kNew, 0, next};
  if (first < runs.front().first) return {Answer::kTooOld, 0, next};
  const std::uint64_t known = next - first;
  return {Answer::kKnown, static_cast<std::uint32_t>(known < count ? known : count), next};
}

Sessions::Producer& Sessions::touch(ProducerId id) {
  const auto found = producers_.find(id);
  if (found != producers_.end()) {
    ages_.splice(ages_.end(), ages_, found->second.age);
    return found->second;
  }
  if (producers_.size() >= producers_max_) {
    producers_.erase(ages_.front());
    ages_.pop_front();
  }
  Producer& fresh = producers_[id];
  fresh.age = ages_.insert(ages_.end(), id);
  return fresh;
}

void Sessions::forget_old(Producer& producer, Index commit_index) {
  // Only what lies far enough behind the newest *committed* sequence may go: uncommitted runs can
  // still be truncated, and the count of what is left must hold then too.
  auto& runs = producer.runs;
  std::size_t newest = runs.size();
  while (newest > 0 && runs[newest - 1].first_index + (runs[newest - 1].count - 1) > commit_index) {
    --newest;
  }
  if (newest == 0) return;
  const Sequence committed_end = runs[newest - 1].end();
  while (runs.size() > 1 && newest > 1 &&
         runs.front().end() + kSequencesRemembered <= committed_end) {
    runs.pop_front();
    --newest;
  }
}

void Sessions::add(BatchView batch, Index commit_index) {
  if (batch.producer() == kNoProducer) return;
  Producer& producer = push(batch.producer(), {batch.first_sequence(), batch.first_index(),
                                               batch.term(), batch.entry_count()});
  forget_old(producer, commit_index);
}

void Sessions::add(ProducerId id, const Run& run) {
  auto& runs = push(id, run).runs;
  while (runs.size() > 1 && runs.front().end() + kSequencesRemembered + kSequencesUncommittedMax <=
                                runs.back().end()) {
    runs.pop_front();
  }
}

Sessions::Producer& Sessions::push(ProducerId id, const Run& run) {
  Producer& producer = touch(id);
  auto& runs = producer.runs;
  if (!runs.empty() && runs.back().end() != run.first) runs.clear();
  runs.push_back(run);
  return producer;
}

void Sessions::truncate_from(Index from) {
  for (auto it = producers_.begin(); it != producers_.end();) {
    auto& runs = it->second.runs;
    // A batch is truncated whole, so a run is too.
    while (!runs.empty() && runs.back().first_index >= from) runs.pop_back();
    if (runs.empty()) {
      ages_.erase(it->second.age);
      it = producers_.erase(it);
    } else {
      ++it;
    }
  }
}

std::vector<std::byte> Sessions::encode_below(Index first) const {
  std::vector<EncodedRun> encoded;
  for (const ProducerId id : ages_) {
    const auto& runs = producers_.at(id).runs;
    bool fresh = true;
    for (std::size_t i = 0; i < runs.size() && runs[i].first_index < first; ++i) {
      const Run& run = runs[i];
      const std::uint64_t below = std::min<std::uint64_t>(first - run.first_index, run.count);
      const bool goes_on =
          !fresh && encoded.back().term == run.term.value() &&
          encoded.back().first_index + encoded.back().count == run.first_index.value() &&
          encoded.back().count + below <= UINT32_MAX;
      if (goes_on) {
        encoded.back().count += below;
      } else {
        encoded.push_back(
            {id.value(), run.first.value(), run.first_index.value(), run.term.value(), below});
      }
      fresh = false;
    }
  }
  const auto raw = std::as_bytes(std::span(encoded));
  return {raw.begin(), raw.end()};
}

Result<void> Sessions::restore(std::span<const std::byte> snapshot) {
  if (snapshot.size() % sizeof(EncodedRun) != 0) return fail(Errc::kBadSize);
  // From the newest run to the oldest, so that each is put before what is there.
  for (std::size_t at = snapshot.size(); at > 0; at -= sizeof(EncodedRun)) {
    EncodedRun encoded;
    std::memcpy(&encoded, snapshot.data() + at - sizeof(EncodedRun), sizeof(EncodedRun));
    if (encoded.count == 0 || encoded.count > UINT32_MAX || encoded.producer == 0) {
      return fail(Errc::kBadContent);
    }
    const Run run{Sequence(encoded.first), Index(encoded.first_index), Term(encoded.term),
                  static_cast<std::uint32_t>(encoded.count)};
    const ProducerId id(encoded.producer);
    if (!producers_.contains(id) && producers_.size() >= producers_max_) continue;
    if (!producers_.contains(id)) {
      // Older than everybody in the log itself: the first to be forgotten.
      producers_[id].age = ages_.insert(ages_.begin(), id);
    }
    Producer& producer = producers_.at(id);
    auto& runs = producer.runs;
    if (!runs.empty() && run.end() > runs.front().first) continue;   // the log knows it itself
    if (!runs.empty() && run.end() != runs.front().first) continue;  // began anew since
    Ring<Run> longer;
    longer.push_back(run);
    for (std::size_t i = 0; i < runs.size(); ++i) longer.push_back(runs[i]);
    runs = std::move(longer);
  }
  return {};
}

}  // namespace sluice::shard
