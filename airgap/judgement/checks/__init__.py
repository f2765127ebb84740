"""The checks that the judge asks about an item, one file each; `table` lists them in order.

A new check is a file here with a class that meets `base.Check`, its line in `table.CHECKS`, its fields in the Policy
(`airgap/resources`), its tests and its docs. If a waiver may lift it, its name is in the Waiver's schema too.
"""
