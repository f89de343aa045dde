// Which file operation is due, one at a time: making, preparing and retiring segment files.
//
// Each task below is a fixed sequence of steps. A crash may fall between any two of them, and of
// the directory's changes since the last kSyncDirectory each may be lost or kept on its own:
//
//   clean    unlink rubbish..., sync directory       left: rubbish, which the next start unlinks
//            (the sync also without rubbish: a killed process may have left a segment's name in
//            memory alone, and a power failure that took it and kept that of the next segment
//            would leave a gap in the epochs, which passes for a lost file)
//   sync     sync found segments...                  left: nothing changed
//   make     create spare-N.tmp, allocate, zeros     left: spare-N.tmp: rubbish
//            (maybe not to the end), sync,
//            rename to spare-N                       left: either name, both harmless
//   prepare  header into spare-N, sync               left: spare-N, with or without a header
//            rename to EPOCH.segment, sync directory left: either name. Under the new one the
//                                                    header is durable already, so whoever has a
//                                                    segment's name has a valid header (S34)
//   retire   rename EPOCH.segment to spare-N or      left: either name or none. Nobody misses the
//            unlink it, sync directory               file: see SegmentLog::on_durable()
//
// A segment counts as prepared after the directory was synced, not before (S33); a retired one
// counts as a spare after its directory sync, so that a new epoch is never written into a file that
// might get its old name back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "segments/segment_log.h"
#include "segments/segment_table.h"
#include "wire/ids.h"

namespace sluice::segments {

class FilePlan {
 public:
  struct Found {
    std::vector<std::string> rubbish;
    std::vector<std::string> spares;
    std::vector<Epoch> to_sync;  // segments whose chunks were read but may not be durable yet
    bool any = false;            // names were found, which may not be durable either
  };
  FilePlan(const Options& options, const StreamBase& base, Found found);

  /// Wants EPOCH.segment; prepared() says when it may be used. One at a time.
  void prepare(Epoch epoch);
  /// The file of `epoch` holds nothing that is needed, and a durable chunk says so.
  void retire(const SegmentInfo& segment);

  [[nodiscard]] std::optional<FileStep> next_step();
  [[nodiscard]] std::span<const std::byte> header_bytes() const;

  /// What the end of a step made true.
  enum class Event : std::uint8_t {
    kNone,
    kPrepared,  // the segment that prepare() asked for is ready
    kSynced,    // everything in Found::to_sync is on stable storage
  };
  [[nodiscard]] Event step_done();

  /// SegmentLog::skip_zeros().
  [[nodiscard]] bool skip_zeros();
  void step_failed_no_space();
  void retry_steps() { out_of_space_ = stalled_ = false; }
  [[nodiscard]] bool out_of_space() const { return out_of_space_; }

 private:
  enum class Task : std::uint8_t { kNone, kClean, kSync, kMake, kPrepare, kRetire };
  struct Retired {
    Epoch epoch;
    bool reusable = false;
  };
  /// A spare on its way; survives a full disk, so that it goes on where it stopped.
  struct Unfinished {
    std::uint64_t number = 0;
    bool created = false;
    bool allocated = false;  // or cannot be
    bool zeros_suffice = false;
    bool zeros_needed = false;  // what was allocated turned out not to be there
    std::uint64_t zeroed_bytes = 0;
    bool synced = false;
  };
  struct alignas(kBlockBytes) Block {
    std::byte bytes[kBlockBytes];
  };

  [[nodiscard]] Task choose() const;
  [[nodiscard]] FileStep current_step();
  [[nodiscard]] FileStep clean_step() const;
  [[nodiscard]] FileStep make_step();
  [[nodiscard]] FileStep prepare_step();
  [[nodiscard]] FileStep retire_step();
  Event clean_done();
  Event sync_done();
  Event make_done();
  Event prepare_done();
  Event retire_done();
  void end_task();

  const Options& options_;
  StreamBase base_;
  std::vector<std::string> rubbish_;
  bool names_due_ = false;  // the directory's sync of kClean
  std::vector<Epoch> to_sync_;
  std::deque<std::string> spares_;
  std::uint64_t next_spare_number_ = 1;
  std::optional<Epoch> wanted_;
  std::deque<Retired> retiring_;
  std::optional<Unfinished> unfinished_;
  std::unique_ptr<Block> header_;

  Task task_ = Task::kNone;
  int phase_ = 0;              // of kPrepare, kRetire
  std::string retired_as_;     // kRetire: name of the new spare; empty if the file is unlinked
  FileStep::Kind kind_{};      // of the step that was handed out last
  bool step_out_ = false;      // a step was handed out and not answered yet
  bool out_of_space_ = false;  // no spares are made until retry_steps()
  bool stalled_ = false;       // nor does the task go on: it is its step that failed
};

}  // namespace sluice::segments
