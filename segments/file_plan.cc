#include "segments/file_plan.h"

#include <algorithm>
#include <utility>

#include "segments/names.h"
#include "segments/segment_header.h"
#include "wire/check.h"

namespace sluice::segments {
namespace {

using Kind = FileStep::Kind;

constexpr std::uint64_t kZeroFillBytesMax = 1u << 20;

FileStep sync_directory() { return {.kind = Kind::kSyncDirectory}; }

}  // namespace

FilePlan::FilePlan(const Options& options, const StreamBase& base, Found found)
    : options_(options),
      base_(base),
      rubbish_(std::move(found.rubbish)),
      names_due_(found.any || !rubbish_.empty()),
      to_sync_(std::move(found.to_sync)),
      spares_(found.spares.begin(), found.spares.end()),
      header_(std::make_unique<Block>()) {
  // Numbers above every number found: the unlink of an old file need not be durable for a new one
  // to be created.
  const auto pass = [this](std::optional<std::uint64_t> number) {
    if (number) next_spare_number_ = std::max(next_spare_number_, *number + 1);
  };
  for (const std::string& name : spares_) pass(parse_spare_name(name));
  for (const std::string& name : rubbish_) {
    pass(parse_spare_name(name));
    pass(parse_unfinished_spare_name(name));
  }
}

void FilePlan::prepare(Epoch epoch) {
  SLUICE_CHECK(!wanted_);
  wanted_ = epoch;
}

void FilePlan::retire(const SegmentInfo& segment) {
  // A file of another size (the option was changed between two runs) is of no use either.
  retiring_.push_back(
      {segment.epoch, !segment.never_reuse && segment.file_bytes == options_.segment_bytes});
}

FilePlan::Task FilePlan::choose() const {
  if (names_due_) return Task::kClean;
  if (!to_sync_.empty()) return Task::kSync;
  if (wanted_ && !spares_.empty()) return Task::kPrepare;
  if (!retiring_.empty()) return Task::kRetire;
  // Retiring comes first: it may yield a spare, and on a full disk it is the only way to get one.
  if (wanted_ && !out_of_space_) return Task::kMake;
  return Task::kNone;
}

std::optional<FileStep> FilePlan::next_step() {
  SLUICE_CHECK(!step_out_);
  if (task_ == Task::kNone) {
    task_ = choose();
    phase_ = 0;
  } else if (stalled_) {
    return std::nullopt;
  }
  if (task_ == Task::kNone) return std::nullopt;
  step_out_ = true;
  FileStep step = current_step();
  kind_ = step.kind;
  return step;
}

FileStep FilePlan::current_step() {
  switch (task_) {
    case Task::kClean:
      return clean_step();
    case Task::kSync:
      return {.kind = Kind::kSyncFile, .name = segment_name(to_sync_.front())};
    case Task::kMake:
      return make_step();
    case Task::kPrepare:
      return prepare_step();
    case Task::kRetire:
      return retire_step();
    case Task::kNone:
      break;
  }
  SLUICE_CHECK(false);
  return {};
}

FilePlan::Event FilePlan::step_done() {
  SLUICE_CHECK(step_out_);
  step_out_ = false;
  switch (task_) {
    case Task::kClean:
      return clean_done();
    case Task::kSync:
      return sync_done();
    case Task::kMake:
      return make_done();
    case Task::kPrepare:
      return prepare_done();
    case Task::kRetire:
      return retire_done();
    case Task::kNone:
      break;
  }
  SLUICE_CHECK(false);
  return Event::kNone;
}

void FilePlan::step_failed_no_space() {
  SLUICE_CHECK(step_out_);
  step_out_ = false;
  out_of_space_ = true;
  const bool syncing = kind_ == Kind::kSyncFile || kind_ == Kind::kSyncDirectory;
  if (syncing && task_ == Task::kMake) {
    // What reached the disk is not known any more: allocate and write the zeros all again.
    unfinished_->zeroed_bytes = 0;
    unfinished_->allocated = unfinished_->zeros_suffice = false;
  } else {
    SLUICE_CHECK(!syncing);  // a failed sync is final (S35)
    // Zeros found no space: then what was allocated is not there, and has to be written after all.
    // All of it, also when there is space again: a chunk that finds none ends the node (S35, S36).
    if (kind_ == Kind::kZeroFill) {
      unfinished_->zeros_suffice = false;
      unfinished_->zeros_needed = true;
    }
  }
  // A half-made spare waits without holding up the others: retiring frees space.
  if (task_ == Task::kMake) {
    end_task();
  } else {
    stalled_ = true;
  }
}

void FilePlan::end_task() {
  task_ = Task::kNone;
  phase_ = 0;
}

std::span<const std::byte> FilePlan::header_bytes() const { return header_->bytes; }

// --- clean -------------------------------------------------------------------------------------

FileStep FilePlan::clean_step() const {
  if (rubbish_.empty()) return sync_directory();
  return {.kind = Kind::kUnlink, .name = rubbish_.back()};
}

FilePlan::Event FilePlan::clean_done() {
  if (kind_ == Kind::kSyncDirectory) {
    names_due_ = false;
    end_task();
    return Event::kNone;
  }
  rubbish_.pop_back();
  return Event::kNone;
}

// --- sync --------------------------------------------------------------------------------------

FilePlan::Event FilePlan::sync_done() {
  to_sync_.erase(to_sync_.begin());
  if (!to_sync_.empty()) return Event::kNone;
  end_task();
  return Event::kSynced;
}

bool FilePlan::skip_zeros() {
  if (!unfinished_ || !unfinished_->allocated || unfinished_->zeros_needed) return false;
  unfinished_->zeros_suffice = true;
  return true;
}

// --- make --------------------------------------------------------------------------------------

FileStep FilePlan::make_step() {
  if (!unfinished_) unfinished_ = Unfinished{.number = next_spare_number_++};
  const std::string name = unfinished_spare_name(unfinished_->number);
  if (!unfinished_->created) return {.kind = Kind::kCreate, .name = name};
  if (!unfinished_->allocated) {
    return {.kind = Kind::kAllocate, .name = name, .size_bytes = options_.segment_bytes};
  }
  const std::uint64_t done = unfinished_->zeroed_bytes;
  if (done < options_.segment_bytes && !unfinished_->zeros_suffice) {
    return {.kind = Kind::kZeroFill,
            .name = name,
            .offset = done,
            .size_bytes = std::min(kZeroFillBytesMax, options_.segment_bytes - done)};
  }
  if (!unfinished_->synced) return {.kind = Kind::kSyncFile, .name = name};
  return {.kind = Kind::kRename, .name = name, .new_name = spare_name(unfinished_->number)};
}

FilePlan::Event FilePlan::make_done() {
  Unfinished& made = *unfinished_;
  if (!made.created) {
    made.created = true;
  } else if (!made.allocated) {
    made.allocated = true;
  } else if (kind_ == Kind::kZeroFill) {
    made.zeroed_bytes += std::min(kZeroFillBytesMax, options_.segment_bytes - made.zeroed_bytes);
  } else if (!made.synced) {
    made.synced = true;
  } else {
    spares_.push_back(spare_name(made.number));
    unfinished_.reset();
    end_task();
  }
  return Event::kNone;
}

// --- prepare -----------------------------------------------------------------------------------

FileStep FilePlan::prepare_step() {
  const std::string& spare = spares_.front();
  switch (phase_) {
    case 0:
      write_segment_header(header_->bytes, options_, *wanted_, base_);
      return {.kind = Kind::kWriteHeader, .name = spare, .size_bytes = kBlockBytes};
    case 1:
      return {.kind = Kind::kSyncFile, .name = spare};
    case 2:
      return {.kind = Kind::kRename, .name = spare, .new_name = segment_name(*wanted_)};
    default:
      return sync_directory();
  }
}

FilePlan::Event FilePlan::prepare_done() {
  if (phase_++ < 3) return Event::kNone;
  spares_.pop_front();
  wanted_.reset();
  end_task();
  return Event::kPrepared;
}

// --- retire ------------------------------------------------------------------------------------

FileStep FilePlan::retire_step() {
  if (phase_ == 1) return sync_directory();
  const Retired& retired = retiring_.front();
  const std::string name = segment_name(retired.epoch);
  if (!retired.reusable || spares_.size() >= options_.spare_segments_max) {
    retired_as_.clear();
    return {.kind = Kind::kUnlink, .name = name};
  }
  if (retired_as_.empty()) retired_as_ = spare_name(next_spare_number_++);
  return {.kind = Kind::kRename, .name = name, .new_name = retired_as_};
}

FilePlan::Event FilePlan::retire_done() {
  if (phase_++ == 0) return Event::kNone;
  if (!retired_as_.empty()) spares_.push_back(std::exchange(retired_as_, {}));
  retiring_.pop_front();
  end_task();
  return Event::kNone;
}

}  // namespace sluice::segments
