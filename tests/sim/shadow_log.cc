#include "tests/sim/shadow_log.h"

#include <algorithm>

#include "engine/shard/groups.h"

namespace sluice::sim {
namespace {
std::string at(GroupId group, Index index) {
  return "group " + std::to_string(group.value()) + " index " + std::to_string(index.value());
}
}  // namespace

Index ShadowLog::last_index(GroupId group) const {
  const auto& batches = logs_[group.value()].batches;
  return batches.empty() ? Index{} : batches.back().last();
}

const ShadowLog::Batch* ShadowLog::last(GroupId group) const {
  const auto& batches = logs_[group.value()].batches;
  return batches.empty() ? nullptr : &batches.back();
}

const ShadowLog::Batch* ShadowLog::find(GroupId group, Index index) const {
  const auto& batches = logs_[group.value()].batches;
  if (batches.empty() || index == Index{} || index > batches.back().last()) return nullptr;
  const auto after = std::ranges::upper_bound(batches, index, {}, &Batch::first);
  return &*(after - 1);
}

void ShadowLog::append(GroupId group, BatchView view, Term committed_in, const std::string& who) {
  Log& log = logs_[group.value()];
  Batch batch;
  batch.first = view.first_index();
  batch.count = view.entry_count();
  batch.term = view.term();
  batch.committed_in = committed_in;
  batch.checksum = view.header_checksum();
  batch.data = view.kind() == BatchKind::kData;
  world_.mix(batch.checksum);
  if (!log.batches.empty() && view.previous_checksum() != log.batches.back().checksum) {
    world_.report(who + " committed " + at(group, batch.first) +
                  ", which does not follow what was committed before");
  }
  Index index = batch.first;
  if (batch.data) {
    for (const auto entry : view) {
      const auto uid = uid_of(entry);
      if (!uid) {
        world_.report(who + " committed bytes at " + at(group, index) + " that nobody appended");
        return;
      }
      if (refused_.contains(*uid)) {
        world_.report(who + " committed " + at(group, index) + ", whose client was told 'refused'");
      }
      if (!places_.try_emplace(*uid, Place{group, index, batch.term}).second) {
        world_.report(who + " committed at " + at(group, index) +
                      " an entry that was committed before at " +
                      at(group, places_.at(*uid).index));
      }
      batch.uids.push_back(*uid);
      ++entries_;
      index = index.next();
    }
  }
  if (view.kind() == BatchKind::kTrim) {
    log.trimmed = std::max(log.trimmed, shard::trim_target(view));
  }
  if (view.producer() != kNoProducer) {
    auto& next = log.next_sequence.try_emplace(view.producer().value(), 1).first->second;
    if (view.first_sequence().value() != next) {
      world_.report(who + " committed sequence " + std::to_string(view.first_sequence().value()) +
                    " of producer " + std::to_string(view.producer().value()) + " at " +
                    at(group, batch.first) + "; its next was " + std::to_string(next));
    }
    next = view.first_sequence().value() + batch.count;
  }
  log.batches.push_back(std::move(batch));
}

void ShadowLog::acknowledged(const Place& place, Uid uid, const std::string& who) {
  ++acknowledgements_;
  const auto found = places_.find(uid);
  if (found == places_.end()) {
    world_.report(who + ": " + at(place.group, place.index) +
                  " was acknowledged and is not committed");
    return;
  }
  const Place& is = found->second;
  if (is.group != place.group || is.index != place.index || is.term != place.term) {
    world_.report(who + ": acknowledged at " + at(place.group, place.index) + " term " +
                  std::to_string(place.term.value()) + ", but it stands at " +
                  at(is.group, is.index) + " term " + std::to_string(is.term.value()));
  }
}

void ShadowLog::refused(Uid uid, const std::string& who) {
  refused_.insert(uid);
  if (const auto found = places_.find(uid); found != places_.end()) {
    world_.report(who + ": the client was told 'refused', but the entry is committed at " +
                  at(found->second.group, found->second.index));
  }
}

void ShadowLog::was_read(GroupId group, Index index, Term term, bool internal,
                         std::span<const std::byte> data, const std::string& who) {
  ++reads_;
  const Batch* batch = find(group, index);
  if (batch == nullptr) {
    world_.report(who + " read " + at(group, index) + ", which is not committed");
    return;
  }
  if (term != batch->term || internal == batch->data) {
    world_.report(who + " read another entry at " + at(group, index) + " than was committed");
    return;
  }
  if (internal) return;
  const auto uid = uid_of(data);
  if (!uid || *uid != batch->uids[static_cast<std::size_t>(index - batch->first)]) {
    world_.report(who + " read other bytes at " + at(group, index) + " than were committed");
  }
}

const ShadowLog::Place* ShadowLog::place_of(Uid uid) const {
  const auto found = places_.find(uid);
  return found == places_.end() ? nullptr : &found->second;
}

}  // namespace sluice::sim
