// What follows a sequence that was refused for good: it cannot enter the log in order. Known here
// already; and a leader that has not heard of the producer would not notice.
//
// It binds those entries that the caller appended before it knew: with the outcome in hand it may
// append the sequence again, or go on as it likes.
#include <algorithm>

#include "engine/client/append_queue.h"

namespace sluice::client {

/// `missing` will never be sent: refuses what was appended behind it, and remembers to refuse what
/// will be until the caller knows. Follows the report of `missing`.
void AppendQueue::forgo(Lane& lane, Sequence missing) {
  note_missing(lane, missing);
  refuse_followers(lane, missing);
}

void AppendQueue::note_missing(Lane& lane, Sequence missing) {
  const bool older = lane.missing != Sequence(0) && outbox_.handed_out() < lane.missing_until;
  lane.missing = older ? std::min(lane.missing, missing) : missing;
  lane.missing_until = outbox_.added();
}

/// True: the caller appends this behind a gap that it does not know of yet.
bool AppendQueue::is_behind_gap(Lane& lane, Sequence sequence) const {
  const bool known = outbox_.handed_out() >= lane.missing_until;
  if (known || sequence == lane.missing) lane.missing = Sequence(0);
  return lane.missing != Sequence(0) && sequence > lane.missing;
}

void AppendQueue::refuse_followers(Lane& lane, Sequence missing) {
  for (AppendBatch* batch = lane.batches.front(); batch; batch = Lane::Batches::after(*batch)) {
    if (batch->state == AppendBatch::State::kInFlight) continue;
    for (std::size_t i = 0; i < batch->entries.size(); ++i) {
      PendingEntry& entry = batch->entries[i];
      if (entry.resolved || batch->sequence_of(i) <= missing) continue;
      if (!entry.reported) {
        report(lane, *batch, entry,
               {.status = Status::kRefused, .code = Errc::kSequenceGap, .expected = missing});
      }
      resolve(*batch, entry);
    }
  }
}

}  // namespace sluice::client
