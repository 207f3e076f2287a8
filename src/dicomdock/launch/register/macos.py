"""macOS: a small applet, for links come as Apple Events and never as arguments.

Not run on macOS; tested on recorded commands.

The applet is made with what every Mac has: osacompile, PlistBuddy, codesign and lsregister.

References
----------
Apple: "Launch Services Programming Guide"; "Info.plist: CFBundleURLTypes".
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from dicomdock.config.settings import Settings
from dicomdock.errors import LaunchError
from dicomdock.launch.register.common import (
    ANOTHER_INSTALLATION,
    Record,
    Run,
    SchemeStatus,
    check_python,
    run_command,
    wrapper_problem,
    wrapper_text,
    write_file,
)

BUNDLE_ID = "org.dicomdock.launcher"
_LSREGISTER = (
    "/System/Library/Frameworks/CoreServices.framework/Frameworks/LaunchServices.framework/Support/lsregister"
)
_PLIST_BUDDY = "/usr/libexec/PlistBuddy"
_WHO = (
    'ObjC.import("AppKit"); const url = $.NSWorkspace.sharedWorkspace'
    '.URLForApplicationToOpenURL($.NSURL.URLWithString("{scheme}://viewer")); url.isNil() ? "" : url.path.js'
)
_SET = 'ObjC.import("CoreServices"); $.LSSetDefaultHandlerForURLScheme($("{scheme}"), $("{bundle}"))'
_BUNDLE_OF = 'ObjC.import("AppKit"); $.NSBundle.bundleWithPath("{path}").bundleIdentifier.js'


class MacRegistrar:
    """Registration for the user, by an applet in ``~/Applications``.

    Parameters
    ----------
    settings : whose dock the links are for.
    home : the user's home folder.
    run : how commands are run.
    """

    def __init__(self, settings: Settings, *, home: Path | None = None, run: Run = run_command) -> None:
        home = home or Path.home()
        self._settings = settings
        self._run = run
        self._record = Record(settings)
        self.applet = home / "Applications" / "dicomdock Launcher.app"
        self.wrapper = home / "Library" / "Application Support" / "dicomdock" / "bin" / "dicomdock-open"

    def status(self, scheme: str) -> SchemeStatus:
        """Ask Launch Services who opens the scheme, and look whether we would start."""
        again = f"run `dicomdock register --scheme {scheme}`"
        current = self._who(scheme)
        if current == os.fspath(self.applet):
            problem = wrapper_problem(self.wrapper, self._settings)
            if not problem:
                return SchemeStatus(scheme, "ours", "dicomdock")
            if problem.startswith(ANOTHER_INSTALLATION):
                remedy = f"Now {problem}; to use this one, {again}."
                return SchemeStatus(scheme, "ours", "another installation of dicomdock", remedy)
            return SchemeStatus(
                scheme, "broken", "dicomdock", f"A click would open nothing: {problem}; {again}."
            )
        if not current:
            ours = scheme in self._schemes()
            remedy = f"macOS has forgotten that dicomdock opens {scheme}:// links; {again}." if ours else ""
            return SchemeStatus(scheme, "broken" if ours else "free", remedy=remedy)
        name = Path(current).stem
        remedy = f"{name} opens {scheme}:// links now; to give them to dicomdock, {again}."
        return SchemeStatus(scheme, "other", f"{name} ({current})", remedy)

    def register(self, scheme: str) -> None:
        """Build the applet anew with the scheme among its own, and make it the default."""
        check_python(self._run)
        current = self._who(scheme)
        if current and current != os.fspath(self.applet):
            self._record.set(
                scheme, {"bundle": self._script(_BUNDLE_OF.format(path=_js(current))), "path": current}
            )
        write_file(self.wrapper, wrapper_text(self._settings), mode=0o755)
        self._build((*self._schemes(), scheme))
        self._script(_SET.format(scheme=scheme, bundle=BUNDLE_ID))
        if self._who(scheme) != os.fspath(self.applet):
            raise LaunchError(
                f"macOS still gives {scheme}:// links to another program; open {self.applet} once in "
                "the Finder, then register again."
            )

    def unregister(self, scheme: str) -> None:
        """Take the scheme from the applet, and give it back to who had it."""
        left = tuple(other for other in self._schemes() if other != scheme)
        if scheme in self._schemes():
            self._run((_LSREGISTER, "-u", os.fspath(self.applet)), "")
            if left:
                self._build(left)
            else:
                shutil.rmtree(self.applet, ignore_errors=True)
                self.wrapper.unlink(missing_ok=True)
        before = self._record.get(scheme)
        if before and re.fullmatch(r"[A-Za-z0-9.-]+", str(before.get("bundle", ""))):
            self._script(_SET.format(scheme=scheme, bundle=before["bundle"]))
        self._record.forget(scheme)

    def _build(self, schemes: tuple[str, ...]) -> None:
        schemes = tuple(sorted(set(schemes)))
        shutil.rmtree(self.applet, ignore_errors=True)
        self.applet.parent.mkdir(parents=True, exist_ok=True)
        app, plist = os.fspath(self.applet), os.fspath(self.applet / "Contents" / "Info.plist")
        self._must(("/usr/bin/osacompile", "-o", app, "-"), self._applet_text())
        entries = [f"Add :CFBundleIdentifier string {BUNDLE_ID}", "Add :LSUIElement bool true"]
        entries += [
            "Add :CFBundleURLTypes array",
            f"Add :CFBundleURLTypes:0:CFBundleURLName string {BUNDLE_ID}",
        ]
        entries += ["Add :CFBundleURLTypes:0:CFBundleURLSchemes array"]
        entries += [
            f"Add :CFBundleURLTypes:0:CFBundleURLSchemes:{place} string {scheme}"
            for place, scheme in enumerate(schemes)
        ]
        self._run((_PLIST_BUDDY, "-c", "Delete :CFBundleIdentifier", plist), "")  # newer systems set one
        self._must((_PLIST_BUDDY, *(word for entry in entries for word in ("-c", entry)), plist))
        self._must(("/usr/bin/codesign", "--force", "--sign", "-", app))
        self._must((_LSREGISTER, "-f", app))

    def _applet_text(self) -> str:
        """Write the applet; ``quoted form of`` keeps the link from being a command."""
        wrapper = os.fspath(self.wrapper).replace("\\", "\\\\").replace('"', '\\"')
        return (
            "on open location clicked\n"
            f'\tdo shell script quoted form of "{wrapper}" & " " & quoted form of clicked & '
            '" >/dev/null 2>&1 &"\n'
            "end open location\n"
        )

    def _schemes(self) -> tuple[str, ...]:
        """Return the schemes that our applet names."""
        plist = os.fspath(self.applet / "Contents" / "Info.plist")
        status, output = self._run(
            (_PLIST_BUDDY, "-c", "Print :CFBundleURLTypes:0:CFBundleURLSchemes", plist), ""
        )
        return () if status else tuple(re.findall(r"^\s+([a-z]+)$", output, re.MULTILINE))

    def _who(self, scheme: str) -> str:
        return self._script(_WHO.format(scheme=scheme)).rstrip("/")

    def _script(self, text: str) -> str:
        status, output = self._run(("/usr/bin/osascript", "-l", "JavaScript", "-e", text), "")
        return "" if status else output.strip()

    def _must(self, command: tuple[str, ...], text: str = "") -> None:
        status, output = self._run(command, text)
        if status:
            raise LaunchError(
                f"{Path(command[0]).name} could not build {self.applet}; its answer: {output.strip()[:200]}. "
                "Run `xcode-select --install` if a tool is missing, then register again."
            )


def _js(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
