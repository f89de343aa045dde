#include "tools/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <limits>
#include <string_view>

#include "tools/errors.h"

namespace sluice::tools {
namespace {

// All in pixels of the drawing.
constexpr double kWidth = 860, kHeight = 520;
constexpr double kLeft = 84, kRight = 24, kTop = 64, kBottom = 64;
constexpr double kLegendStep = 18;

// Told apart with all common kinds of colour blindness (Okabe and Ito, 2008).
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                    "#e69f00", "#56b4e9", "#000000"};

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<') {
      safe += "&lt;";
    } else if (c == '>') {
      safe += "&gt;";
    } else if (c == '&') {
      safe += "&amp;";
    } else if (c == '"') {
      safe += "&quot;";
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      safe += c;
    }
  }
  return safe;
}

/// Where values of one axis lie on the drawing.
class Scale {
 public:
  Scale(const PlotAxis& axis, double from, double to)
      : logarithmic_(axis.logarithmic), from_(from), to_(to) {}

  void include(double value) {
    if (!fits(value)) return;
    low_ = std::min(low_, value);
    high_ = std::max(high_, value);
  }
  /// A little room around what was included; one value alone becomes a range.
  void close() {
    if (low_ > high_) {
      low_ = logarithmic_ ? 1 : 0;
      high_ = logarithmic_ ? 10 : 1;
    }
    if (logarithmic_) {
      if (high_ >= low_ * 1.5) return;
      low_ /= 2;
      high_ *= 2;
    } else {
      if (low_ == high_) high_ = low_ + std::max(1.0, std::abs(low_));
      if (low_ > 0 && low_ < 0.4 * high_) low_ = 0;
      high_ += (high_ - low_) * 0.04;
    }
  }
  [[nodiscard]] bool fits(double value) const {
    return std::isfinite(value) && (!logarithmic_ || value > 0);
  }
  [[nodiscard]] double at(double value) const {
    const double share = logarithmic_ ? std::log(value / low_) / std::log(high_ / low_)
                                      : (value - low_) / (high_ - low_);
    return from_ + share * (to_ - from_);
  }
  [[nodiscard]] bool inside(double value) const {
    return fits(value) && value >= low_ && value <= high_;
  }
  [[nodiscard]] double low() const { return low_; }
  [[nodiscard]] double high() const { return high_; }

 private:
  bool logarithmic_;
  double from_, to_;
  double low_ = std::numeric_limits<double>::infinity();
  double high_ = -std::numeric_limits<double>::infinity();
};

class Drawing {
 public:
  explicit Drawing(const Plot& plot)
      : plot_(plot), x_(plot.x, kLeft, kWidth - kRight), y_(plot.y, kHeight - kBottom, kTop) {
    for (const PlotSeries& series : plot.series)
      for (const PlotPoint& point : series.points) include(point);
    for (const Plot::Mark& mark : plot.marks) include(mark.at);
    for (const PlotTick& tick : plot.x.ticks) x_.include(tick.at);
    for (const PlotTick& tick : plot.y.ticks) y_.include(tick.at);
    x_.close();
    y_.close();
  }

  std::string svg() {
    out_ = fmt::format(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
        "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"sans-serif\" font-size=\"12\">\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        kWidth, kHeight);
    text(kLeft, 26, "start", plot_.title, "font-size=\"16\" font-weight=\"bold\"");
    text(kLeft, 46, "start", plot_.subtitle, "fill=\"#555555\"");
    axes();
    for (std::size_t i = 0; i < plot_.series.size(); ++i) series(plot_.series[i], i);
    for (const Plot::Mark& one : plot_.marks) mark(one);
    out_ += "</svg>\n";
    return std::move(out_);
  }

 private:
  void include(const PlotPoint& point) {
    if (!x_.fits(point.x) || !y_.fits(point.y)) return;
    x_.include(point.x);
    y_.include(point.y);
  }
  void text(double x, double y, const char* anchor, const std::string& what,
            const std::string& more = "") {
    if (what.empty()) return;
    out_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" {}>{}</text>\n", x, y,
                        anchor, more, escaped(what));
  }
  void line(double x1, double y1, double x2, double y2, const char* colour) {
    out_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1, y1,
        x2, y2, colour);
  }

  void axes() {
    const double right = kWidth - kRight, bottom = kHeight - kBottom;
    const auto ticks_of = [](const PlotAxis& axis, const Scale& scale) {
      return axis.ticks.empty() ? ticks_between(scale.low(), scale.high(), axis.logarithmic)
                                : axis.ticks;
    };
    for (const PlotTick& tick : ticks_of(plot_.x, x_)) {
      if (!x_.inside(tick.at)) continue;
      line(x_.at(tick.at), kTop, x_.at(tick.at), bottom, "#e4e4e4");
      text(x_.at(tick.at), bottom + 18, "middle", tick.label);
    }
    for (const PlotTick& tick : ticks_of(plot_.y, y_)) {
      if (!y_.inside(tick.at)) continue;
      line(kLeft, y_.at(tick.at), right, y_.at(tick.at), "#e4e4e4");
      text(kLeft - 8, y_.at(tick.at) + 4, "end", tick.label);
    }
    line(kLeft, bottom, right, bottom, "#333333");
    line(kLeft, kTop, kLeft, bottom, "#333333");
    text((kLeft + right) / 2, kHeight - 18, "middle", plot_.x.label);
    text(0, 0, "middle", plot_.y.label,
         fmt::format("transform=\"translate(20 {:.1f}) rotate(-90)\"", (kTop + bottom) / 2));
  }

  void series(const PlotSeries& one, std::size_t position) {
    const char* colour = kColours[position % std::size(kColours)];
    std::string path;
    for (const PlotPoint& point : one.points) {
      if (!x_.fits(point.x) || !y_.fits(point.y)) continue;
      const double x = x_.at(point.x), y = y_.at(point.y);
      path += fmt::format("{:.1f},{:.1f} ", x, y);
      if (one.markers)
        out_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", x, y,
                            colour);
    }
    if (one.line && !path.empty())
      out_ += fmt::format(
          "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"/>\n", path,
          colour);
    if (one.name.empty()) return;
    const double y = kTop + 14 + kLegendStep * static_cast<double>(position);
    out_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"14\" height=\"4\" fill=\"{}\"/>\n",
                        kLeft + 12, y - 6, colour);
    text(kLeft + 32, y, "start", one.name);
  }

  void mark(const Plot::Mark& one) {
    if (!x_.fits(one.at.x) || !y_.fits(one.at.y)) return;
    const double x = x_.at(one.at.x), y = y_.at(one.at.y);
    out_ += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"8\" fill=\"none\" stroke=\"#d00000\" "
        "stroke-width=\"2\"/>\n",
        x, y);
    const bool flip = x > kWidth * 0.7;
    text(x + (flip ? -12 : 12), y - 10, flip ? "end" : "start", one.text,
         "fill=\"#d00000\" font-weight=\"bold\"");
  }

  const Plot& plot_;
  Scale x_, y_;
  std::string out_;
};

/// 12000 -> "12k", so that labels stay short.
std::string number_text(double value) {
  const double size = std::abs(value);
  if (size >= 1e9) return fmt::format("{:g}G", value / 1e9);
  if (size >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:g}k", value / 1e3);
  return fmt::format("{:g}", value);
}

}  // namespace

std::vector<PlotTick> ticks_between(double low, double high, bool logarithmic) {
  std::vector<PlotTick> ticks;
  const auto add = [&](double value) {
    if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9))
      ticks.push_back({value, number_text(value)});
  };
  if (logarithmic) {
    const int from = static_cast<int>(std::floor(std::log10(low)));
    const int to = static_cast<int>(std::ceil(std::log10(high)));
    const int step = std::max(1, (to - from) / 8);
    const bool fine = to - from <= 2;
    for (int power = from; power <= to; power += step)
      for (const double factor : {1.0, 2.0, 5.0})
        if (factor == 1.0 || fine) add(factor * std::pow(10.0, power));
    return ticks;
  }
  const double rough = (high - low) / 6;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough) {
      step = factor * power;
      break;
    }
  for (double at = std::ceil(low / step) * step; at <= high + step * 1e-6; at += step)
    ticks.push_back({at, number_text(std::abs(at) < step * 1e-6 ? 0 : at)});
  return ticks;
}

std::string svg_of(const Plot& plot) { return Drawing(plot).svg(); }

void write_text_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!file || !(file << text) || !file.flush())
    throw Failure(fmt::format("cannot write {}", path));
}

}  // namespace sluice::tools
